//! Copies and fills of boxes of memory: what all the functions of these kinds come down to.

use super::runtime::get;
use super::status::{Code, Outcome};
use crate::memory::{Alloc, AllocKind, AllocMap};

/// The first address of a box of bytes and the distances of its rows and slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The first address.
    pub address: u64,
    /// From a row to the next, in bytes.
    pub pitch: u64,
    /// From a slice to the next, in bytes.
    pub slice: u64,
}

impl Place {
    /// The place of bytes in one row.
    pub fn linear(address: u64) -> Self {
        Self {
            address,
            pitch: 0,
            slice: 0,
        }
    }
}

/// The size of a box: bytes in a row, rows, slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Bytes in a row.
    pub width: u64,
    /// Rows in a slice.
    pub height: u64,
    /// Slices.
    pub depth: u64,
}

impl Size {
    /// The size of bytes in one row.
    pub fn linear(bytes: u64) -> Self {
        Self {
            width: bytes,
            height: 1,
            depth: 1,
        }
    }

    /// Whether there is nothing in the box.
    pub fn is_empty(self) -> bool {
        self.width == 0 || self.height == 0 || self.depth == 0
    }

    /// From the first byte to behind the last one, for a box at a place; `None` if that overflows.
    fn span(self, place: Place) -> Option<u64> {
        let rows = (self.height - 1).checked_mul(place.pitch)?;
        let slices = (self.depth - 1).checked_mul(place.slice)?;
        rows.checked_add(slices)?.checked_add(self.width)
    }
}

/// A copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// Where to.
    pub dst: Place,
    /// Where from.
    pub src: Place,
    /// How much.
    pub size: Size,
    /// The `hipMemcpyKind` that the client gave.
    pub kind: i32,
}

/// A fill with a repeated value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Where to.
    pub dst: Place,
    /// How much; the width is a multiple of `value_size`.
    pub size: Size,
    /// The value, in the low bytes.
    pub value: u32,
    /// The size of the value in bytes: 1, 2 or 4.
    pub value_size: u64,
}

/// `hipMemcpyDefault`: the addresses say what is host and what is device.
pub const DEFAULT_KIND: i32 = 4;
/// `hipMemcpyHostToHost`.
pub const HOST_TO_HOST: i32 = 0;
/// `hipMemcpyDeviceToDeviceNoCU`.
const DEVICE_TO_DEVICE_NO_CU: i32 = 1024;

/// The allocation of an address, if it is one, after checking that it has the whole box.
fn check(map: &AllocMap, place: Place, size: Size) -> Outcome<Option<&Alloc>> {
    if place.address == 0 {
        return Err(Code::InvalidValue.because("an address is null"));
    }
    if (size.height > 1 && place.pitch < size.width)
        || (size.depth > 1 && place.slice < size.height * place.pitch)
    {
        return Err(Code::InvalidPitchValue.because(format!(
            "rows of {} bytes with a pitch of {}",
            size.width, place.pitch
        )));
    }
    let span = size
        .span(place)
        .ok_or_else(|| Code::InvalidValue.because("the size overflows"))?;
    let Some(alloc) = map.find(place.address) else {
        // Host memory that is not registered, as far as one can know; but not what was device memory a moment ago. What was
        // registered stays the host's.
        let freed = map.freed(place.address);
        if freed.is_some_and(|alloc| alloc.kind != AllocKind::Registered) {
            return Err(Code::InvalidValue.because(map.describe(place.address, 1)));
        }
        return Ok(None);
    };
    if !alloc.contains(place.address, span) {
        return Err(Code::InvalidValue.because(format!(
            "{span} bytes from {:#x} on, {}",
            place.address,
            map.describe(place.address, 1)
        )));
    }
    Ok(Some(alloc))
}

impl Copy {
    /// A copy of bytes in one row.
    pub fn linear(dst: u64, src: u64, bytes: u64, kind: i32) -> Self {
        Self {
            dst: Place::linear(dst),
            src: Place::linear(src),
            size: Size::linear(bytes),
            kind,
        }
    }

    /// Checks what can be checked before the work is enqueued.
    ///
    /// # Errors
    /// `hipErrorInvalidMemcpyDirection` for a kind that is none, `hipErrorInvalidValue` for null, for more than an
    /// allocation has, and for a copy between pageable host memory that says it is none; `hipErrorInvalidPitchValue`.
    pub fn validate(&self) -> Outcome {
        if !(HOST_TO_HOST..=DEFAULT_KIND).contains(&self.kind)
            && self.kind != DEVICE_TO_DEVICE_NO_CU
        {
            return Err(Code::InvalidMemcpyDirection.because(format!("kind {}", self.kind)));
        }
        if self.size.is_empty() {
            return Ok(());
        }
        let map = get().memory.snapshot();
        let dst = check(&map, self.dst, self.size)?;
        let src = check(&map, self.src, self.size)?;
        if dst.is_none() && src.is_none() && self.kind != HOST_TO_HOST && self.kind != DEFAULT_KIND
        {
            return Err(Code::InvalidValue.because(format!(
                "neither address is an allocation: to {:#x}, {}; from {:#x}, {}",
                self.dst.address,
                map.describe(self.dst.address, 1),
                self.src.address,
                map.describe(self.src.address, 1)
            )));
        }
        Ok(())
    }

    /// Copies.
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate): memory may have been freed since.
    pub fn execute(&self) -> Outcome {
        if self.size.is_empty() {
            return Ok(());
        }
        let memory = &get().memory;
        let _in_flight = memory.in_flight();
        self.validate()?;
        for z in 0..self.size.depth {
            for y in 0..self.size.height {
                let dst = self.dst.address + z * self.dst.slice + y * self.dst.pitch;
                let src = self.src.address + z * self.src.slice + y * self.src.pitch;
                // SAFETY: the ranges lie in allocations that cannot go away meanwhile, or in host memory that the client
                // vouches for. They may overlap.
                unsafe {
                    std::ptr::copy(src as *const u8, dst as *mut u8, self.size.width as usize)
                };
                memory.mark_copied(dst, src, self.size.width);
            }
        }
        Ok(())
    }
}

impl Fill {
    /// Checks what can be checked before the work is enqueued.
    ///
    /// # Errors
    /// `hipErrorInvalidValue` for what is no allocation, for more than it has, and for values of other sizes;
    /// `hipErrorInvalidPitchValue`.
    pub fn validate(&self) -> Outcome {
        if ![1, 2, 4].contains(&self.value_size) {
            return Err(Code::InvalidValue.because(format!("values of {} bytes", self.value_size)));
        }
        if self.size.is_empty() {
            return Ok(());
        }
        let map = get().memory.snapshot();
        if check(&map, self.dst, self.size)?.is_none() {
            return Err(Code::InvalidValue.because(map.describe(self.dst.address, 1)));
        }
        Ok(())
    }

    /// Fills.
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate): memory may have been freed since.
    pub fn execute(&self) -> Outcome {
        if self.size.is_empty() {
            return Ok(());
        }
        let memory = &get().memory;
        let _in_flight = memory.in_flight();
        self.validate()?;
        let value = self.value.to_le_bytes();
        for z in 0..self.size.depth {
            for y in 0..self.size.height {
                let start = self.dst.address + z * self.dst.slice + y * self.dst.pitch;
                // SAFETY: the row lies in an allocation, which cannot go away meanwhile.
                let row = unsafe {
                    std::slice::from_raw_parts_mut(start as *mut u8, self.size.width as usize)
                };
                match self.value_size {
                    1 => row.fill(value[0]),
                    size => {
                        let value = &value[..size as usize];
                        row.chunks_exact_mut(value.len())
                            .for_each(|place| place.copy_from_slice(value));
                    }
                }
                memory.mark_written(start, self.size.width);
            }
        }
        Ok(())
    }
}
