//! Calls from kernels to the host: the buffer of packets through which the device libraries ask for `printf`.
//!
//! A wave takes a packet from a stack of free ones, fills in a service and eight words for each lane, puts it on a stack
//! of ready ones and spins until the host has cleared the packet's flag. Then it reads two words of results. The layout is
//! that of the device libraries (`__ockl_hostcall_internal`):
//!
//! ```text
//! buffer:  headers, payloads, doorbell (pointers), free stack, ready stack, index mask (64 bits each)
//! header:  next, active lanes (64 bits each), service, control (32 bits each; bit 0 of control: not answered yet)
//! payload: 64 lanes x 8 words
//! ```
//!
//! An entry of a stack is the index of a packet with a counter in the bits above the index mask. The device libraries
//! never look whether a stack is empty, so there have to be as many packets as waves run at a time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::printf::{self, Stream, Words};
use super::runtime::get;
use super::status::{Code, Outcome};
use crate::memory::{AllocKind, Request};

/// The service that prints.
const SERVICE_PRINTF: u32 = 2;
/// Lanes of a payload, whatever the wave size.
const LANES: usize = 64;
/// Words of a lane.
const LANE_WORDS: usize = 8;

/// The bytes of the parts of a buffer.
const BUFFER_BYTES: u64 = 48;
const SIGNAL_BYTES: u64 = 64;
const HEADER_BYTES: u64 = 24;
const PAYLOAD_BYTES: u64 = (LANES * LANE_WORDS * 8) as u64;

/// The buffer of one launch.
pub struct Hostcall {
    base: u64,
    packets: u64,
    stop: AtomicBool,
    /// Whether a kernel wrote to standard error, as failed assertions do.
    complained: AtomicBool,
}

/// Messages that kernels are putting together, by their numbers.
#[derive(Default)]
struct Messages {
    last: u64,
    open: BTreeMap<u64, Vec<u64>>,
}

impl Hostcall {
    /// A buffer for as many waves as the interpreter runs at a time: those of one work-group on each thread.
    ///
    /// # Errors
    /// `hipErrorOutOfMemory`.
    pub fn new(device: u32) -> Outcome<Self> {
        /// Waves of the largest work-group at the smallest wave size.
        const WAVES: u64 = 32;
        let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
        let workers = threads.max(rayon::current_num_threads() as u64);
        let packets = (workers * WAVES).next_power_of_two();
        let size = BUFFER_BYTES + SIGNAL_BYTES + packets * (HEADER_BYTES + PAYLOAD_BYTES);
        let request = Request {
            size,
            align: crate::memory::ALIGNMENT,
            kind: AllocKind::Runtime,
            device,
            flags: 0,
        };
        let base = get().memory.allocate(request);
        let base = base.map_err(|error| Code::OutOfMemory.because(error.to_string()))?;
        let hostcall = Self {
            base,
            packets,
            stop: AtomicBool::new(false),
            complained: AtomicBool::new(false),
        };
        hostcall.set_up();
        Ok(hostcall)
    }

    /// The address that kernels get.
    pub fn address(&self) -> u64 {
        self.base
    }

    /// Whether a kernel wrote to standard error.
    pub fn complained(&self) -> bool {
        self.complained.load(Ordering::Relaxed)
    }

    /// Runs something and answers calls meanwhile, from another thread.
    pub fn serve_during<R>(&self, run: impl FnOnce() -> R) -> R {
        /// Ends the service, also if the run panics.
        struct Stop<'h>(&'h AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Release);
            }
        }
        std::thread::scope(|scope| {
            scope.spawn(|| self.serve());
            let _stop = Stop(&self.stop);
            run()
        })
    }

    fn headers(&self) -> u64 {
        self.base + BUFFER_BYTES + SIGNAL_BYTES
    }

    fn payloads(&self) -> u64 {
        self.headers() + self.packets * HEADER_BYTES
    }

    /// The word at an offset of the buffer.
    fn word(&self, address: u64) -> &AtomicU64 {
        // SAFETY: callers pass aligned addresses inside of the buffer's allocation, which lives as long as `self`. Waves
        // use atomic accesses for what they share with the host at the same time.
        unsafe { &*(address as *const AtomicU64) }
    }

    /// The control of a header.
    fn control(&self, header: u64) -> &AtomicU32 {
        // SAFETY: as for `word`.
        unsafe { &*((header + 20) as *const AtomicU32) }
    }

    fn set_up(&self) {
        let store = |address: u64, value: u64| self.word(address).store(value, Ordering::Relaxed);
        // Entries must not be zero: the counter begins at one.
        let entry = |index: u64| self.packets + index;
        for index in 0..self.packets {
            let next = if index == 0 { 0 } else { entry(index - 1) };
            store(self.headers() + index * HEADER_BYTES, next);
        }
        store(self.base, self.headers());
        store(self.base + 8, self.payloads());
        // The doorbell: a signal without a mailbox. Waves add to its value; nobody waits for it.
        store(self.base + 16, self.base + BUFFER_BYTES);
        store(self.base + 24, entry(self.packets - 1));
        store(self.base + 32, 0);
        store(self.base + 40, self.packets - 1);
    }

    /// Answers calls until the stop.
    fn serve(&self) {
        let mut messages = Messages::default();
        let mut idle = 0_u32;
        loop {
            // Looked at first: what was ready before the stop is answered after it.
            let stop = self.stop.load(Ordering::Acquire);
            let ready = self.word(self.base + 32).swap(0, Ordering::AcqRel);
            if ready != 0 {
                self.answer(ready, &mut messages);
                idle = 0;
                continue;
            }
            if stop {
                return;
            }
            idle += 1;
            if idle < 200 {
                std::thread::yield_now();
            } else {
                std::thread::sleep(Duration::from_micros(20));
            }
        }
    }

    /// Answers a stack of packets, the first that came first.
    fn answer(&self, mut entry: u64, messages: &mut Messages) {
        let mut packets = Vec::new();
        // A stack is no longer than there are packets, whatever a kernel wrote there.
        while entry != 0 && packets.len() < self.packets as usize {
            let index = entry & (self.packets - 1);
            packets.push(index);
            entry = self
                .word(self.headers() + index * HEADER_BYTES)
                .load(Ordering::Acquire);
        }
        for index in packets.into_iter().rev() {
            let header = self.headers() + index * HEADER_BYTES;
            let lanes = self.word(header + 8).load(Ordering::Acquire);
            let service = self.word(header + 16).load(Ordering::Acquire) as u32;
            for lane in (0..LANES as u64).filter(|lane| lanes >> lane & 1 != 0) {
                let start =
                    self.payloads() + index * PAYLOAD_BYTES + lane * (LANE_WORDS * 8) as u64;
                let words: [u64; LANE_WORDS] = std::array::from_fn(|word| {
                    self.word(start + word as u64 * 8).load(Ordering::Relaxed)
                });
                let result = match service {
                    SERVICE_PRINTF => messages.take(&words, &self.complained),
                    // Nothing was done: null for memory that is asked for, zero for a function that is to be called.
                    _ => 0,
                };
                self.word(start).store(result, Ordering::Relaxed);
                self.word(start + 8).store(0, Ordering::Relaxed);
            }
            self.control(header).fetch_and(!1, Ordering::Release);
        }
    }
}

impl Drop for Hostcall {
    fn drop(&mut self) {
        // It is this buffer's own allocation.
        let _ = get().memory.free(self.base);
    }
}

/// The first word of a lane describes the rest: whether a message begins and ends, how many words there are, and which
/// message it is.
const BEGIN: u64 = 1;
const END: u64 = 2;
const LEN_SHIFT: u32 = 5;
const LEN_MASK: u64 = 7;
const ID_SHIFT: u32 = 8;

impl Messages {
    /// Adds a lane's words to its message. Returns the next description, or the result of the message at its end.
    fn take(&mut self, words: &[u64; LANE_WORDS], complained: &AtomicBool) -> u64 {
        let description = words[0];
        let mut id = description >> ID_SHIFT;
        if description & BEGIN != 0 {
            self.last += 1;
            id = self.last;
        }
        let len = (description >> LEN_SHIFT & LEN_MASK) as usize;
        let message = self.open.entry(id).or_default();
        message.extend(&words[1..=len]);
        if description & END == 0 {
            return id << ID_SHIFT;
        }
        let message = self.open.remove(&id).unwrap_or_default();
        // The first word says where to print: bit 0 for standard error.
        let (control, message) = message.split_first().unwrap_or((&0, &[]));
        let stream = if control & 1 == 0 {
            Stream::Out
        } else {
            Stream::Error
        };
        complained.fetch_or(stream == Stream::Error, Ordering::Relaxed);
        let mut words = Words::new(message);
        let format = words.string();
        let text = printf::format(&format, &mut words);
        printf::write(stream, &text);
        text.len() as u64
    }
}
