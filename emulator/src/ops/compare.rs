//! Integer comparisons of the vector unit. (Those of floats are with their formats in [`super::float`].)

use crate::lanewise;

macro_rules! comparisons {
    ($table:ident $t:ty: $f:ident $lt:ident $eq:ident $le:ident $gt:ident $ne:ident $ge:ident $tru:ident) => {
        lanewise! {
            /// Comparisons in this type.
            $table:
            $f(_a: $t, _b: $t) -> bool { false }
            $lt(a: $t, b: $t) -> bool { a < b }
            $eq(a: $t, b: $t) -> bool { a == b }
            $le(a: $t, b: $t) -> bool { a <= b }
            $gt(a: $t, b: $t) -> bool { a > b }
            $ne(a: $t, b: $t) -> bool { a != b }
            $ge(a: $t, b: $t) -> bool { a >= b }
            $tru(_a: $t, _b: $t) -> bool { true }
        }
    };
}

comparisons!(I16 i16: cmp_f_i16 cmp_lt_i16 cmp_eq_i16 cmp_le_i16 cmp_gt_i16 cmp_ne_i16 cmp_ge_i16 cmp_t_i16);
comparisons!(U16 u16: cmp_f_u16 cmp_lt_u16 cmp_eq_u16 cmp_le_u16 cmp_gt_u16 cmp_ne_u16 cmp_ge_u16 cmp_t_u16);
comparisons!(I32 i32: cmp_f_i32 cmp_lt_i32 cmp_eq_i32 cmp_le_i32 cmp_gt_i32 cmp_ne_i32 cmp_ge_i32 cmp_t_i32);
comparisons!(U32 u32: cmp_f_u32 cmp_lt_u32 cmp_eq_u32 cmp_le_u32 cmp_gt_u32 cmp_ne_u32 cmp_ge_u32 cmp_t_u32);
comparisons!(I64 i64: cmp_f_i64 cmp_lt_i64 cmp_eq_i64 cmp_le_i64 cmp_gt_i64 cmp_ne_i64 cmp_ge_i64 cmp_t_i64);
comparisons!(U64 u64: cmp_f_u64 cmp_lt_u64 cmp_eq_u64 cmp_le_u64 cmp_gt_u64 cmp_ne_u64 cmp_ge_u64 cmp_t_u64);
