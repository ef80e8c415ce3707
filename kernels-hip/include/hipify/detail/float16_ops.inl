// The functions that CUDA has for both 16-bit floating-point types. Source: CUDA Math API, "Half Precision
// Intrinsics" and "Bfloat16 Precision Intrinsics".
//
// Included once per type, after `float16_type.inl`, with its macros still defined and in `detail`:
//   add, sub, mul, div, fma      on T and on T2, each rounding once
//   HIPIFY_NAME(before, after)   the type's name inside a function's name: `__float2half_rn`, `__half2int_rz`
//
// Knows: CUDA's interface. Must not know: how the format computes.

#define HIPIFY_NAME_JOIN(BEFORE, NAME, AFTER) BEFORE##NAME##AFTER
#define HIPIFY_NAME_EXPAND(BEFORE, NAME, AFTER) HIPIFY_NAME_JOIN(BEFORE, NAME, AFTER)
#define HIPIFY_NAME(BEFORE, AFTER) HIPIFY_NAME_EXPAND(BEFORE, HIPIFY_T, AFTER)

// ---- arithmetic -------------------------------------------------------------------------------------------------

#define HIPIFY_ARITHMETIC(OPERATOR, NAME, NAME2)                                                           \
    HIPIFY_FN HIPIFY_T operator OPERATOR(const HIPIFY_T &a, const HIPIFY_T &b) { return detail::NAME(a, b); } \
    HIPIFY_FN HIPIFY_T &operator OPERATOR##=(HIPIFY_T &a, const HIPIFY_T &b) { return a = a OPERATOR b; }      \
    HIPIFY_FN HIPIFY_T2 operator OPERATOR(const HIPIFY_T2 &a, const HIPIFY_T2 &b) { return detail::NAME(a, b); } \
    HIPIFY_FN HIPIFY_T2 &operator OPERATOR##=(HIPIFY_T2 &a, const HIPIFY_T2 &b) { return a = a OPERATOR b; }    \
    HIPIFY_FN HIPIFY_T h##NAME(HIPIFY_T a, HIPIFY_T b) { return detail::NAME(a, b); }                          \
    HIPIFY_FN HIPIFY_T2 NAME2(HIPIFY_T2 a, HIPIFY_T2 b) { return detail::NAME(a, b); }

HIPIFY_ARITHMETIC(+, add, hadd2)
HIPIFY_ARITHMETIC(-, sub, hsub2)
HIPIFY_ARITHMETIC(*, mul, hmul2)
HIPIFY_ARITHMETIC(/, div, h2div)
#undef HIPIFY_ARITHMETIC

HIPIFY_FN HIPIFY_T hneg(HIPIFY_T a) { return HIPIFY_FORMAT::from_bits(detail::bits(a) ^ 0x8000u); }
HIPIFY_FN HIPIFY_T habs(HIPIFY_T a) { return HIPIFY_FORMAT::from_bits(detail::bits(a) & 0x7fffu); }
HIPIFY_FN HIPIFY_T2 hneg2(HIPIFY_T2 a) { return {hneg(a.x), hneg(a.y)}; }
HIPIFY_FN HIPIFY_T2 habs2(HIPIFY_T2 a) { return {habs(a.x), habs(a.y)}; }
HIPIFY_FN HIPIFY_T operator+(const HIPIFY_T &a) { return a; }
HIPIFY_FN HIPIFY_T operator-(const HIPIFY_T &a) { return hneg(a); }
HIPIFY_FN HIPIFY_T2 operator+(const HIPIFY_T2 &a) { return a; }
HIPIFY_FN HIPIFY_T2 operator-(const HIPIFY_T2 &a) { return hneg2(a); }
HIPIFY_FN HIPIFY_T &operator++(HIPIFY_T &a) { return a += HIPIFY_T(1.0f); }
HIPIFY_FN HIPIFY_T &operator--(HIPIFY_T &a) { return a -= HIPIFY_T(1.0f); }
HIPIFY_FN HIPIFY_T operator++(HIPIFY_T &a, int) {
    const HIPIFY_T old = a;
    ++a;
    return old;
}
HIPIFY_FN HIPIFY_T operator--(HIPIFY_T &a, int) {
    const HIPIFY_T old = a;
    --a;
    return old;
}

HIPIFY_FN HIPIFY_T hfma(HIPIFY_T a, HIPIFY_T b, HIPIFY_T c) { return detail::fma(a, b, c); }
HIPIFY_FN HIPIFY_T2 hfma2(HIPIFY_T2 a, HIPIFY_T2 b, HIPIFY_T2 c) { return detail::fma(a, b, c); }

// `_rn`: never contracted with another operation. The pragma takes the permission from the operations in its scope.
#define HIPIFY_UNCONTRACTED(NAME, NAME2, OPERATION)             \
    HIPIFY_FN HIPIFY_T NAME(HIPIFY_T a, HIPIFY_T b) {           \
        return detail::uncontracted::OPERATION(a, b);           \
    }                                                           \
    HIPIFY_FN HIPIFY_T2 NAME2(HIPIFY_T2 a, HIPIFY_T2 b) {       \
        return {detail::uncontracted::OPERATION(a.x, b.x), detail::uncontracted::OPERATION(a.y, b.y)}; \
    }
HIPIFY_UNCONTRACTED(hadd_rn, hadd2_rn, add)
HIPIFY_UNCONTRACTED(hsub_rn, hsub2_rn, sub)
HIPIFY_UNCONTRACTED(hmul_rn, hmul2_rn, mul)
#undef HIPIFY_UNCONTRACTED

namespace detail {

/// Clamped to [0, 1], a NaN to zero.
HIPIFY_FN HIPIFY_T saturate(HIPIFY_T a) {
    const float value = a;
    return value > 0.0f ? (value < 1.0f ? a : HIPIFY_T(1.0f)) : HIPIFY_T(0.0f);
}

/// Negative results become zero, a NaN stays one.
HIPIFY_FN HIPIFY_T relu(HIPIFY_T a) { return float(a) < 0.0f ? HIPIFY_T(0.0f) : a; }

}  // namespace detail

HIPIFY_FN HIPIFY_T hadd_sat(HIPIFY_T a, HIPIFY_T b) { return detail::saturate(detail::add(a, b)); }
HIPIFY_FN HIPIFY_T hsub_sat(HIPIFY_T a, HIPIFY_T b) { return detail::saturate(detail::sub(a, b)); }
HIPIFY_FN HIPIFY_T hmul_sat(HIPIFY_T a, HIPIFY_T b) { return detail::saturate(detail::mul(a, b)); }
HIPIFY_FN HIPIFY_T hfma_sat(HIPIFY_T a, HIPIFY_T b, HIPIFY_T c) { return detail::saturate(detail::fma(a, b, c)); }
HIPIFY_FN HIPIFY_T hfma_relu(HIPIFY_T a, HIPIFY_T b, HIPIFY_T c) { return detail::relu(detail::fma(a, b, c)); }
HIPIFY_FN HIPIFY_T2 hadd2_sat(HIPIFY_T2 a, HIPIFY_T2 b) { return {hadd_sat(a.x, b.x), hadd_sat(a.y, b.y)}; }
HIPIFY_FN HIPIFY_T2 hsub2_sat(HIPIFY_T2 a, HIPIFY_T2 b) { return {hsub_sat(a.x, b.x), hsub_sat(a.y, b.y)}; }
HIPIFY_FN HIPIFY_T2 hmul2_sat(HIPIFY_T2 a, HIPIFY_T2 b) { return {hmul_sat(a.x, b.x), hmul_sat(a.y, b.y)}; }
HIPIFY_FN HIPIFY_T2 hfma2_sat(HIPIFY_T2 a, HIPIFY_T2 b, HIPIFY_T2 c) {
    return {hfma_sat(a.x, b.x, c.x), hfma_sat(a.y, b.y, c.y)};
}
HIPIFY_FN HIPIFY_T2 hfma2_relu(HIPIFY_T2 a, HIPIFY_T2 b, HIPIFY_T2 c) {
    return {hfma_relu(a.x, b.x, c.x), hfma_relu(a.y, b.y, c.y)};
}
/// Complex a * b + c, each pair being a real and an imaginary part.
HIPIFY_FN HIPIFY_T2 hcmadd(HIPIFY_T2 a, HIPIFY_T2 b, HIPIFY_T2 c) {
    const HIPIFY_T real = detail::fma(a.x, b.x, c.x), imaginary = detail::fma(a.x, b.y, c.y);
    return {detail::fma(hneg(a.y), b.y, real), detail::fma(a.y, b.x, imaginary)};
}

// ---- comparison -------------------------------------------------------------------------------------------------

// An ordered relation is false when an operand is a NaN, the unordered one (`u`) is then true.
#define HIPIFY_RELATION(NAME, OPERATOR, ORDERED_OPPOSITE)                                                             \
    HIPIFY_FN bool operator OPERATOR(const HIPIFY_T &a, const HIPIFY_T &b) { return float(a) OPERATOR float(b); }     \
    HIPIFY_FN bool h##NAME(HIPIFY_T a, HIPIFY_T b) { return float(a) OPERATOR float(b); }                             \
    HIPIFY_FN bool h##NAME##u(HIPIFY_T a, HIPIFY_T b) { return ORDERED_OPPOSITE; }                                    \
    HIPIFY_RELATION_OF_PAIRS(NAME, )                                                                                  \
    HIPIFY_RELATION_OF_PAIRS(NAME, u)

#define HIPIFY_RELATION_OF_PAIRS(NAME, U)                                                                             \
    HIPIFY_FN bool hb##NAME##U##2(HIPIFY_T2 a, HIPIFY_T2 b) { return h##NAME##U(a.x, b.x) && h##NAME##U(a.y, b.y); } \
    HIPIFY_FN HIPIFY_T2 h##NAME##U##2(HIPIFY_T2 a, HIPIFY_T2 b) {                                                     \
        return {HIPIFY_T(h##NAME##U(a.x, b.x) ? 1.0f : 0.0f), HIPIFY_T(h##NAME##U(a.y, b.y) ? 1.0f : 0.0f)};          \
    }                                                                                                                 \
    HIPIFY_FN unsigned h##NAME##U##2_mask(HIPIFY_T2 a, HIPIFY_T2 b) {                                               \
        return (h##NAME##U(a.x, b.x) ? 0xffffu : 0u) | (h##NAME##U(a.y, b.y) ? 0xffff0000u : 0u);                     \
    }

HIPIFY_RELATION(eq, ==, !(float(a) < float(b) || float(a) > float(b)))
HIPIFY_RELATION(lt, <, !(float(a) >= float(b)))
HIPIFY_RELATION(le, <=, !(float(a) > float(b)))
HIPIFY_RELATION(gt, >, !(float(a) <= float(b)))
HIPIFY_RELATION(ge, >=, !(float(a) < float(b)))
#undef HIPIFY_RELATION

// Not equal is the one relation whose operator is unordered while its function is ordered.
HIPIFY_FN bool operator!=(const HIPIFY_T &a, const HIPIFY_T &b) { return float(a) != float(b); }
HIPIFY_FN bool hne(HIPIFY_T a, HIPIFY_T b) { return float(a) < float(b) || float(a) > float(b); }
HIPIFY_FN bool hneu(HIPIFY_T a, HIPIFY_T b) { return float(a) != float(b); }
HIPIFY_RELATION_OF_PAIRS(ne, )
HIPIFY_RELATION_OF_PAIRS(ne, u)
#undef HIPIFY_RELATION_OF_PAIRS

#define HIPIFY_PAIR_OPERATOR(OPERATOR, FUNCTION) \
    HIPIFY_FN bool operator OPERATOR(const HIPIFY_T2 &a, const HIPIFY_T2 &b) { return FUNCTION(a, b); }
HIPIFY_PAIR_OPERATOR(==, hbeq2)
HIPIFY_PAIR_OPERATOR(!=, hbneu2)
HIPIFY_PAIR_OPERATOR(<, hblt2)
HIPIFY_PAIR_OPERATOR(<=, hble2)
HIPIFY_PAIR_OPERATOR(>, hbgt2)
HIPIFY_PAIR_OPERATOR(>=, hbge2)
#undef HIPIFY_PAIR_OPERATOR

HIPIFY_FN bool hisnan(HIPIFY_T a) { return (detail::bits(a) & 0x7fffu) > HIPIFY_FORMAT::infinity; }
/// 1 for positive infinity, -1 for negative, else 0.
HIPIFY_FN int hisinf(HIPIFY_T a) {
    return detail::bits(a) == HIPIFY_FORMAT::infinity ? 1 : detail::bits(a) == (0x8000u | HIPIFY_FORMAT::infinity) ? -1 : 0;
}
HIPIFY_FN HIPIFY_T2 hisnan2(HIPIFY_T2 a) {
    return {HIPIFY_T(hisnan(a.x) ? 1.0f : 0.0f), HIPIFY_T(hisnan(a.y) ? 1.0f : 0.0f)};
}

namespace detail {
HIPIFY_FN HIPIFY_T either_nan(HIPIFY_T a, HIPIFY_T b, HIPIFY_T otherwise) {
    return hisnan(a) || hisnan(b) ? HIPIFY_FORMAT::from_bits(0x7fffu) : otherwise;
}
}  // namespace detail

// A NaN operand loses, except in the functions named `_nan`, where it wins. -0 is less than +0.
#define HIPIFY_EXTREME(NAME)                                                                                     \
    HIPIFY_FN HIPIFY_T h##NAME(HIPIFY_T a, HIPIFY_T b) { return detail::NAME(a, b); }                            \
    HIPIFY_FN HIPIFY_T h##NAME##_nan(HIPIFY_T a, HIPIFY_T b) { return detail::either_nan(a, b, detail::NAME(a, b)); } \
    HIPIFY_FN HIPIFY_T2 h##NAME##2(HIPIFY_T2 a, HIPIFY_T2 b) { return {h##NAME(a.x, b.x), h##NAME(a.y, b.y)}; }  \
    HIPIFY_FN HIPIFY_T2 h##NAME##2_nan(HIPIFY_T2 a, HIPIFY_T2 b) {                                               \
        return {h##NAME##_nan(a.x, b.x), h##NAME##_nan(a.y, b.y)};                                               \
    }
HIPIFY_EXTREME(max)
HIPIFY_EXTREME(min)
#undef HIPIFY_EXTREME

// ---- conversion -------------------------------------------------------------------------------------------------

namespace detail {

/// `value` in the given direction. A step of the bits is a step of the magnitude, up to infinity and back.
HIPIFY_FN HIPIFY_T HIPIFY_FORMAT::narrow(float value, rounding direction) {
    const HIPIFY_T nearest = HIPIFY_T(value);
    const float back = nearest;
    if (back == value || value != value) return nearest;
    const bool is_outside = __builtin_fabsf(back) > __builtin_fabsf(value);
    return from_bits(bits(nearest) + static_cast<unsigned>(step(direction, value < 0.0f, is_outside)));
}

}  // namespace detail

HIPIFY_FN float HIPIFY_NAME(, 2float)(HIPIFY_T a) { return a; }
HIPIFY_FN HIPIFY_T HIPIFY_NAME(float2, )(float a) { return HIPIFY_T(a); }
HIPIFY_FN HIPIFY_T HIPIFY_NAME(double2, )(double a) { return HIPIFY_T(a); }
HIPIFY_FN HIPIFY_T HIPIFY_NAME(float2, _rn)(float a) { return HIPIFY_T(a); }
HIPIFY_FN HIPIFY_T HIPIFY_NAME(float2, _rz)(float a) { return HIPIFY_FORMAT::narrow(a, detail::rounding::zero); }
HIPIFY_FN HIPIFY_T HIPIFY_NAME(float2, _rd)(float a) { return HIPIFY_FORMAT::narrow(a, detail::rounding::down); }
HIPIFY_FN HIPIFY_T HIPIFY_NAME(float2, _ru)(float a) { return HIPIFY_FORMAT::narrow(a, detail::rounding::up); }

/// EXACT makes the integer a float that rounds as the integer itself would.
#define HIPIFY_CONVERT(CUDA, INT, EXACT, SUFFIX, DIRECTION)                              \
    HIPIFY_FN INT HIPIFY_NAME(, 2##CUDA##SUFFIX)(HIPIFY_T a) {                           \
        return detail::saturate_integral<INT>(detail::round_integral(a, detail::rounding::DIRECTION)); \
    }                                                                                    \
    HIPIFY_FN HIPIFY_T HIPIFY_NAME(CUDA##2, SUFFIX)(INT a) {                             \
        return HIPIFY_FORMAT::narrow(EXACT(a), detail::rounding::DIRECTION);             \
    }
#define HIPIFY_CONVERT_ALL(CUDA, INT, EXACT)             \
    HIPIFY_CONVERT(CUDA, INT, EXACT, _rn, nearest)       \
    HIPIFY_CONVERT(CUDA, INT, EXACT, _rz, zero)          \
    HIPIFY_CONVERT(CUDA, INT, EXACT, _rd, down)          \
    HIPIFY_CONVERT(CUDA, INT, EXACT, _ru, up)
HIPIFY_CONVERT_ALL(short, short, float)
HIPIFY_CONVERT_ALL(ushort, unsigned short, float)
HIPIFY_CONVERT_ALL(int, int, detail::round_to_odd)
HIPIFY_CONVERT_ALL(uint, unsigned, detail::round_to_odd)
HIPIFY_CONVERT_ALL(ll, long long, detail::round_to_odd)
HIPIFY_CONVERT_ALL(ull, unsigned long long, detail::round_to_odd)
#undef HIPIFY_CONVERT_ALL
#undef HIPIFY_CONVERT
HIPIFY_FN signed char HIPIFY_NAME(, 2char_rz)(HIPIFY_T a) { return static_cast<signed char>(a); }
HIPIFY_FN unsigned char HIPIFY_NAME(, 2uchar_rz)(HIPIFY_T a) { return static_cast<unsigned char>(a); }

HIPIFY_FN short HIPIFY_NAME(, _as_short)(HIPIFY_T a) { return static_cast<short>(detail::bits(a)); }
HIPIFY_FN unsigned short HIPIFY_NAME(, _as_ushort)(HIPIFY_T a) { return detail::bits(a); }
HIPIFY_FN HIPIFY_T HIPIFY_NAME(short_as_, )(short a) { return HIPIFY_FORMAT::from_bits(static_cast<unsigned short>(a)); }
HIPIFY_FN HIPIFY_T HIPIFY_NAME(ushort_as_, )(unsigned short a) { return HIPIFY_FORMAT::from_bits(a); }

// ---- pairs ------------------------------------------------------------------------------------------------------

HIPIFY_FN HIPIFY_T2 HIPIFY_NAME(make_, 2)(HIPIFY_T low, HIPIFY_T high) { return {low, high}; }
HIPIFY_FN HIPIFY_T2 HIPIFY_NAME(halves2, 2)(HIPIFY_T low, HIPIFY_T high) { return {low, high}; }
HIPIFY_FN HIPIFY_T HIPIFY_NAME(low2, )(HIPIFY_T2 a) { return a.x; }
HIPIFY_FN HIPIFY_T HIPIFY_NAME(high2, )(HIPIFY_T2 a) { return a.y; }
HIPIFY_FN HIPIFY_T2 HIPIFY_NAME(low2, 2)(HIPIFY_T2 a) { return {a.x, a.x}; }
HIPIFY_FN HIPIFY_T2 HIPIFY_NAME(high2, 2)(HIPIFY_T2 a) { return {a.y, a.y}; }
HIPIFY_FN HIPIFY_T2 HIPIFY_NAME(lows2, 2)(HIPIFY_T2 a, HIPIFY_T2 b) { return {a.x, b.x}; }
HIPIFY_FN HIPIFY_T2 HIPIFY_NAME(highs2, 2)(HIPIFY_T2 a, HIPIFY_T2 b) { return {a.y, b.y}; }
HIPIFY_FN HIPIFY_T2 HIPIFY_NAME(, HIPIFY_TO_PAIR)(HIPIFY_T a) { return {a, a}; }
HIPIFY_FN HIPIFY_T2 lowhigh2highlow(HIPIFY_T2 a) { return {a.y, a.x}; }
HIPIFY_FN float low2float(HIPIFY_T2 a) { return a.x; }
HIPIFY_FN float high2float(HIPIFY_T2 a) { return a.y; }
HIPIFY_FN HIPIFY_T2 HIPIFY_NAME(float2, 2_rn)(float a) { return {HIPIFY_T(a), HIPIFY_T(a)}; }
HIPIFY_FN HIPIFY_T2 HIPIFY_NAME(floats2, 2_rn)(float low, float high) { return {HIPIFY_T(low), HIPIFY_T(high)}; }
#if defined(__HIP__)
HIPIFY_FN HIPIFY_T2 HIPIFY_NAME(float22, 2_rn)(float2 a) { return {HIPIFY_T(a.x), HIPIFY_T(a.y)}; }
HIPIFY_FN float2 HIPIFY_NAME(, 22float2)(HIPIFY_T2 a) { return make_float2(a.x, a.y); }
#endif

// ---- mathematical functions -------------------------------------------------------------------------------------

// Computed in single precision and rounded once, which is within the error that CUDA documents for them.
#define HIPIFY_FUNCTION(NAME, RESULT)                                                            \
    HIPIFY_FN HIPIFY_T h##NAME(HIPIFY_T a) {                                                     \
        const float x = a;                                                                       \
        return HIPIFY_T(RESULT);                                                                 \
    }                                                                                            \
    HIPIFY_FN HIPIFY_T2 h2##NAME(HIPIFY_T2 a) { return {h##NAME(a.x), h##NAME(a.y)}; }
HIPIFY_FUNCTION(ceil, __builtin_ceilf(x))
HIPIFY_FUNCTION(floor, __builtin_floorf(x))
HIPIFY_FUNCTION(trunc, __builtin_truncf(x))
HIPIFY_FUNCTION(rint, __builtin_rintf(x))
HIPIFY_FUNCTION(sqrt, __builtin_sqrtf(x))
HIPIFY_FUNCTION(rcp, 1.0f / x)
HIPIFY_FUNCTION(rsqrt, 1.0f / __builtin_sqrtf(x))
HIPIFY_FUNCTION(exp, ::expf(x))
HIPIFY_FUNCTION(exp2, ::exp2f(x))
HIPIFY_FUNCTION(exp10, ::exp10f(x))
HIPIFY_FUNCTION(log, ::logf(x))
HIPIFY_FUNCTION(log2, ::log2f(x))
HIPIFY_FUNCTION(log10, ::log10f(x))
HIPIFY_FUNCTION(sin, ::sinf(x))
HIPIFY_FUNCTION(cos, ::cosf(x))
HIPIFY_FUNCTION(tanh, ::tanhf(x))
HIPIFY_FUNCTION(tanh_approx, ::tanhf(x))
#undef HIPIFY_FUNCTION

#undef HIPIFY_NAME
#undef HIPIFY_NAME_EXPAND
#undef HIPIFY_NAME_JOIN
