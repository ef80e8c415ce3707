//! What a client passes by pointer, and its handles.
//!
//! The parameters of exported functions have these types instead of raw pointers: [`Out`] is written, [`In`] is read,
//! [`Text`] is a C string, [`List`] is an array. They are transparent, so the ABI is that of a pointer, and each has its
//! null check and its one access in one place.
//!
//! The contract of every access is C's: a pointer is null or points to what the function's documentation says. Nothing
//! else can be checked. Handles are not pointers for us: a [`Handle`] is a number that is looked up in a
//! registry, never dereferenced.

use std::ffi::{CStr, c_char, c_void};
use std::fmt;
use std::marker::PhantomData;

use super::status::{Code, Outcome};

/// A pointer through which a result is handed out.
#[repr(transparent)]
pub struct Out<T>(*mut T);

/// A pointer through which a parameter is read.
#[repr(transparent)]
pub struct In<T>(*const T);

/// A pointer to the first of several parameters.
#[repr(transparent)]
pub struct List<T>(*const T);

/// A pointer to a C string.
#[repr(transparent)]
pub struct Text(*const c_char);

macro_rules! pointer_traits {
    ($($name:ident),*) => {$(
        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T> Copy for $name<T> {}

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:p}", self.0)
            }
        }

        impl<T> $name<T> {
            /// Whether the client passed null.
            pub fn is_null(self) -> bool {
                self.0.is_null()
            }

            /// Fails if the client passed null.
            pub fn check(self) -> Outcome {
                if self.is_null() {
                    return Err(Code::InvalidValue.because("a pointer that is needed is null"));
                }
                Ok(())
            }
        }
    )*};
}

pointer_traits!(Out, In, List);

impl<T> Out<T> {
    /// Writes the result; fails if the client passed null.
    pub fn set(self, value: T) -> Outcome {
        self.check()?;
        // SAFETY: not null, so it points to room for a result (the contract of the module).
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }

    /// Writes the result unless the client passed null to say that it does not want it.
    pub fn set_if_wanted(self, value: T) {
        let _ = self.set(value);
    }

    /// Reads what the client put there; fails if it passed null.
    pub fn get(self) -> Outcome<T>
    where
        T: Copy,
    {
        In(self.0.cast_const()).get()
    }

    /// Writes several results one after the other; fails if the client passed null.
    pub fn set_all(self, values: &[T]) -> Outcome
    where
        T: Copy,
    {
        self.check()?;
        for (index, value) in values.iter().enumerate() {
            // SAFETY: not null, so it points to room for as many results as the client asked for; callers pass no more.
            unsafe { self.0.add(index).write_unaligned(*value) };
        }
        Ok(())
    }

    /// The place at a raw pointer that was itself a parameter.
    pub fn at(pointer: *mut T) -> Self {
        Self(pointer)
    }

    /// The pointer itself.
    pub fn as_ptr(self) -> *mut T {
        self.0
    }
}

impl<T: Copy> In<T> {
    /// The parameter at a raw pointer that was itself a parameter.
    pub fn at(pointer: *const T) -> Self {
        Self(pointer)
    }

    /// Reads the parameter; fails if the client passed null.
    pub fn get(self) -> Outcome<T> {
        self.check()?;
        // SAFETY: not null, so it points to a parameter (the contract of the module).
        Ok(unsafe { self.0.read_unaligned() })
    }
}

impl<T: Copy> List<T> {
    /// Reads `count` parameters; fails if the client passed null and a count that is not zero.
    pub fn get(self, count: usize) -> Outcome<Vec<T>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        self.check()?;
        // SAFETY: not null, so it points to `count` parameters (the contract of the module).
        Ok((0..count)
            .map(|index| unsafe { self.0.add(index).read_unaligned() })
            .collect())
    }

    /// A list at a raw pointer that was itself a parameter.
    pub fn at(pointer: *const T) -> Self {
        Self(pointer)
    }
}

impl Text {
    /// The text; fails if the client passed null or what it passed is not UTF-8.
    pub fn get<'a>(self) -> Outcome<&'a str> {
        if self.0.is_null() {
            return Err(Code::InvalidValue.because("a name is null"));
        }
        // SAFETY: not null, so it points to a string with a zero at its end, which stays as it is during the call.
        let text = unsafe { CStr::from_ptr(self.0) };
        text.to_str()
            .map_err(|_| Code::InvalidValue.because(format!("{text:?} is not UTF-8")))
    }

    /// Whether the client passed null.
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }
}

impl Clone for Text {
    fn clone(&self) -> Self {
        *self
    }
}

impl Copy for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Ok(text) => fmt::Debug::fmt(text, f),
            Err(_) => write!(f, "{:p}", self.0),
        }
    }
}

/// Writes a C string into a client's buffer of `len` bytes, cut if it is too long.
pub fn set_text(buffer: Out<c_char>, len: i32, text: &str) -> Outcome {
    let room = usize::try_from(len).unwrap_or(0);
    if room == 0 {
        return Err(Code::InvalidValue.because(format!("a buffer of {len} bytes")));
    }
    let mut bytes: Vec<c_char> = text
        .bytes()
        .take(room - 1)
        .map(|byte| byte as c_char)
        .collect();
    bytes.push(0);
    buffer.set_all(&bytes)
}

/// The number of something that was handed out: looked up, never dereferenced.
#[repr(transparent)]
pub struct Handle<T>(pub usize, PhantomData<fn() -> T>);

impl<T> Handle<T> {
    /// No object, or the default one.
    pub const NULL: Self = Self(0, PhantomData);

    /// The handle with this number.
    pub const fn new(number: usize) -> Self {
        Self(number, PhantomData)
    }

    /// Whether it is null.
    pub fn is_null(self) -> bool {
        self.0 == 0
    }
}

impl<T> Clone for Handle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<T> {}

impl<T> PartialEq for Handle<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<T> Eq for Handle<T> {}

impl<T> fmt::Debug for Handle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Names for the kinds of handles.
pub mod kind {
    macro_rules! kinds {
        ($($name:ident)*) => {$(#[doc = concat!("The kind of `", stringify!($name), "` handles.")] pub enum $name {})*};
    }
    kinds!(Stream Event Module Function Context Graph GraphNode GraphExec MemPool Array UserObject);
}

macro_rules! handles {
    ($($name:ident = $kind:ident;)*) => {$(
        #[doc = concat!("A handle of the kind `", stringify!($kind), "`.")]
        pub type $name = Handle<kind::$kind>;
    )*};
}

handles! {
    StreamHandle = Stream;
    EventHandle = Event;
    ModuleHandle = Module;
    FunctionHandle = Function;
    ContextHandle = Context;
    GraphHandle = Graph;
    GraphNodeHandle = GraphNode;
    GraphExecHandle = GraphExec;
    MemPoolHandle = MemPool;
    ArrayHandle = Array;
    UserObjectHandle = UserObject;
}

/// A device pointer as the client writes it.
pub type DevicePtr = *mut c_void;
