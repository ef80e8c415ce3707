//! What a buffer may hold.

/// Types that a buffer may hold: plain bytes with a meaning.
///
/// # Safety
/// Every pattern of bits is a value of the type, and the type has no padding.
pub unsafe trait DeviceElement: Copy + Send + Sync + 'static {}

macro_rules! elements {
    ($($ty:ty),*) => {$(
        // SAFETY: a number without padding, for which every pattern of bits is a value.
        unsafe impl DeviceElement for $ty {}
    )*};
}

elements!(
    u8,
    u16,
    u32,
    u64,
    usize,
    i8,
    i16,
    i32,
    i64,
    isize,
    f32,
    f64,
    half::f16,
    half::bf16
);

// SAFETY: an array has the bits of its elements and no others.
unsafe impl<T: DeviceElement, const N: usize> DeviceElement for [T; N] {}
