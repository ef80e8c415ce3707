//! Between candle's names of things and this crate's.

use candle_core::quantized::GgmlDType;

use crate::gguf::GgmlType;
use crate::safe::Error;

/// The same types on both sides.
macro_rules! types {
    ($($name:ident),*) => {
        impl From<GgmlDType> for GgmlType {
            fn from(dtype: GgmlDType) -> Self {
                match dtype {
                    $(GgmlDType::$name => Self::$name,)*
                }
            }
        }

        impl From<GgmlType> for GgmlDType {
            fn from(dtype: GgmlType) -> Self {
                match dtype {
                    $(GgmlType::$name => Self::$name,)*
                }
            }
        }
    };
}

types!(
    F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1, Q2K, Q3K, Q4K, Q5K, Q6K, Q8K
);

/// An error of this crate as candle carries foreign ones: [`candle_core::Error::Wrapped`].
pub(super) fn wrap(error: impl Into<Error>) -> candle_core::Error {
    candle_core::Error::wrap(error.into())
}

/// Lets `?` be written as `.w()?` where the result is this crate's.
pub(super) trait WrapErr<T> {
    fn w(self) -> candle_core::Result<T>;
}

impl<T, E: Into<Error>> WrapErr<T> for Result<T, E> {
    fn w(self) -> candle_core::Result<T> {
        self.map_err(wrap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_candles() {
        for dtype in GgmlType::ALL {
            let candles = GgmlDType::from(dtype);
            assert_eq!(GgmlType::from(candles), dtype);
            assert_eq!(format!("{candles:?}"), dtype.name());
            assert_eq!(candles.block_size(), dtype.block_size());
            assert_eq!(candles.type_size(), dtype.type_size());
        }
    }
}
