// Conversions between integers and floating point with a direction, and arithmetic with a direction.
// Source: CUDA Math API, "Type Casting Intrinsics", "Single/Double Precision Intrinsics".
//
// Knows: what CUDA documents for results out of range (clamped) and NaNs, which C++ leaves undefined and HIP's
// functions of the same names therefore too; HIP's also ignore the direction in several conversions.
// Must not know: the current rounding mode, which stays "to nearest".
#pragma once

#include "hipify/core.h"

namespace hipify {

// ---- conversions ------------------------------------------------------------------------------------------------

#define HIPIFY_TO_INTEGER(FLOAT, NAME, INT)                                                                        \
    HIPIFY_FN INT FLOAT##2##NAME##_rn(FLOAT x) { return detail::saturate_integral<INT>(detail::round_integral(x, detail::rounding::nearest)); } \
    HIPIFY_FN INT FLOAT##2##NAME##_rz(FLOAT x) { return detail::saturate_integral<INT>(detail::round_integral(x, detail::rounding::zero)); }    \
    HIPIFY_FN INT FLOAT##2##NAME##_rd(FLOAT x) { return detail::saturate_integral<INT>(detail::round_integral(x, detail::rounding::down)); }    \
    HIPIFY_FN INT FLOAT##2##NAME##_ru(FLOAT x) { return detail::saturate_integral<INT>(detail::round_integral(x, detail::rounding::up)); }
HIPIFY_TO_INTEGER(float, int, int)
HIPIFY_TO_INTEGER(float, uint, unsigned)
HIPIFY_TO_INTEGER(float, ll, long long)
HIPIFY_TO_INTEGER(float, ull, unsigned long long)
HIPIFY_TO_INTEGER(double, int, int)
HIPIFY_TO_INTEGER(double, uint, unsigned)
HIPIFY_TO_INTEGER(double, ll, long long)
HIPIFY_TO_INTEGER(double, ull, unsigned long long)
#undef HIPIFY_TO_INTEGER

namespace detail {

/// `x` as a float in the given direction.
HIPIFY_FN float float_of(double x, rounding direction) {
    const float nearest = static_cast<float>(x);
    const double back = nearest;
    if (back == x || x != x) return nearest;
    return bits_as<float>(bits_as<unsigned>(nearest) +
                          static_cast<unsigned>(step(direction, x < 0.0, __builtin_fabs(back) > __builtin_fabs(x))));
}

/// A 64-bit integer as a float or double with PRECISION bits: what is cut off decides the step.
template <class Float, class Bits, int Precision>
HIPIFY_FN Float float_of(unsigned long long magnitude, bool is_negative, rounding direction) {
    const int excess = 64 - __builtin_clzll(magnitude | 1) - Precision;
    unsigned long long kept = magnitude;
    if (excess > 0) {
        kept = magnitude >> excess;
        const unsigned long long lost = magnitude & ((1ull << excess) - 1), half_step = 1ull << (excess - 1);
        bool is_up = lost > half_step || (lost == half_step && (kept & 1) != 0);
        if (direction != rounding::nearest) is_up = lost != 0 && step(direction, is_negative, false) > 0;
        kept = (kept + (is_up ? 1 : 0)) << excess;
    }
    // No more than PRECISION significant bits are left, so that this is exact; 2^64 itself has wrapped around.
    const Float result = kept == 0 && magnitude != 0 ? Float(18446744073709551616.0) : static_cast<Float>(kept);
    return is_negative ? -result : result;
}

HIPIFY_FN float float_of(unsigned long long x, rounding direction) { return float_of<float, unsigned, 24>(x, false, direction); }
HIPIFY_FN double double_of(unsigned long long x, rounding direction) {
    return float_of<double, unsigned long long, 53>(x, false, direction);
}
HIPIFY_FN unsigned long long magnitude_of(long long x) {
    return x < 0 ? 0ull - static_cast<unsigned long long>(x) : static_cast<unsigned long long>(x);
}
HIPIFY_FN float float_of(long long x, rounding direction) { return float_of<float, unsigned, 24>(magnitude_of(x), x < 0, direction); }
HIPIFY_FN double double_of(long long x, rounding direction) {
    return float_of<double, unsigned long long, 53>(magnitude_of(x), x < 0, direction);
}
HIPIFY_FN float float_of(int x, rounding direction) { return float_of(static_cast<double>(x), direction); }
HIPIFY_FN float float_of(unsigned x, rounding direction) { return float_of(static_cast<double>(x), direction); }

}  // namespace detail

#define HIPIFY_TO_FLOAT(NAME, FROM, FLOAT)                                                                  \
    HIPIFY_FN FLOAT NAME##2##FLOAT##_rn(FROM x) { return detail::FLOAT##_of(x, detail::rounding::nearest); } \
    HIPIFY_FN FLOAT NAME##2##FLOAT##_rz(FROM x) { return detail::FLOAT##_of(x, detail::rounding::zero); }    \
    HIPIFY_FN FLOAT NAME##2##FLOAT##_rd(FROM x) { return detail::FLOAT##_of(x, detail::rounding::down); }    \
    HIPIFY_FN FLOAT NAME##2##FLOAT##_ru(FROM x) { return detail::FLOAT##_of(x, detail::rounding::up); }
HIPIFY_TO_FLOAT(int, int, float)
HIPIFY_TO_FLOAT(uint, unsigned, float)
HIPIFY_TO_FLOAT(ll, long long, float)
HIPIFY_TO_FLOAT(ull, unsigned long long, float)
HIPIFY_TO_FLOAT(double, double, float)
HIPIFY_TO_FLOAT(ll, long long, double)
HIPIFY_TO_FLOAT(ull, unsigned long long, double)
#undef HIPIFY_TO_FLOAT
HIPIFY_FN double int2double_rn(int x) { return x; }
HIPIFY_FN double uint2double_rn(unsigned x) { return x; }

HIPIFY_FN int float_as_int(float x) { return detail::bits_as<int>(x); }
HIPIFY_FN unsigned float_as_uint(float x) { return detail::bits_as<unsigned>(x); }
HIPIFY_FN float int_as_float(int x) { return detail::bits_as<float>(x); }
HIPIFY_FN float uint_as_float(unsigned x) { return detail::bits_as<float>(x); }
HIPIFY_FN long long double_as_longlong(double x) { return detail::bits_as<long long>(x); }
HIPIFY_FN double longlong_as_double(long long x) { return detail::bits_as<double>(x); }
HIPIFY_FN int double2hiint(double x) { return static_cast<int>(detail::bits_as<unsigned long long>(x) >> 32); }
HIPIFY_FN int double2loint(double x) { return static_cast<int>(detail::bits_as<unsigned long long>(x)); }
HIPIFY_FN double hiloint2double(int high, int low) {
    return detail::bits_as<double>(static_cast<unsigned long long>(static_cast<unsigned>(high)) << 32 |
                                   static_cast<unsigned>(low));
}

// ---- arithmetic to nearest, never contracted --------------------------------------------------------------------

#define HIPIFY_UNCONTRACTED(NAME, FLOAT, EXPRESSION) \
    HIPIFY_FN FLOAT NAME(FLOAT a, FLOAT b) {         \
        _Pragma("clang fp contract(off)")            \
        return EXPRESSION;                           \
    }
HIPIFY_UNCONTRACTED(fadd_rn, float, a + b)
HIPIFY_UNCONTRACTED(fsub_rn, float, a - b)
HIPIFY_UNCONTRACTED(fmul_rn, float, a *b)
HIPIFY_UNCONTRACTED(fdiv_rn, float, a / b)
HIPIFY_UNCONTRACTED(dadd_rn, double, a + b)
HIPIFY_UNCONTRACTED(dsub_rn, double, a - b)
HIPIFY_UNCONTRACTED(dmul_rn, double, a *b)
HIPIFY_UNCONTRACTED(ddiv_rn, double, a / b)
#undef HIPIFY_UNCONTRACTED
HIPIFY_FN float fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
HIPIFY_FN double fma_rn(double a, double b, double c) { return __builtin_fma(a, b, c); }
HIPIFY_FN float frcp_rn(float a) { return fdiv_rn(1.0f, a); }
HIPIFY_FN double drcp_rn(double a) { return ddiv_rn(1.0, a); }
HIPIFY_FN float fsqrt_rn(float a) { return __builtin_sqrtf(a); }
HIPIFY_FN double dsqrt_rn(double a) { return __builtin_sqrt(a); }
/// The double's error is 2^28 times smaller than half a step of the float.
HIPIFY_FN float frsqrt_rn(float a) { return static_cast<float>(1.0 / __builtin_sqrt(static_cast<double>(a))); }

// ---- single precision in a direction ----------------------------------------------------------------------------

namespace detail {

/// a * b + c in the given direction. The product is an exact double; the sum is rounded to odd in double.
HIPIFY_FN float fma_of(float a, float b, float c, rounding direction) {
    const double product = static_cast<double>(a) * static_cast<double>(b), addend = c;
    return float_of(sum_to_odd(product, addend), direction);
}

/// The quotient: its distance from the nearest float is known by multiplying back, which is exact in double.
HIPIFY_FN float quotient_of(float a, float b, rounding direction) {
    const float nearest = a / b;
    const double back = __builtin_fabs(static_cast<double>(nearest) * static_cast<double>(b));
    const double exact = __builtin_fabs(static_cast<double>(a));
    const bool is_finite = exact < std::numeric_limits<double>::infinity() && b != 0.0f && b == b;
    if (!is_finite || back == exact || back != back) return nearest;
    const bool is_negative = std::signbit(a) != std::signbit(b);
    return bits_as<float>(bits_as<unsigned>(nearest) + static_cast<unsigned>(step(direction, is_negative, back > exact)));
}

HIPIFY_FN float root_of(float a, rounding direction) {
    const float nearest = __builtin_sqrtf(a);
    const double back = static_cast<double>(nearest) * static_cast<double>(nearest);
    if (!(back != static_cast<double>(a)) || back != back) return nearest;
    return bits_as<float>(bits_as<unsigned>(nearest) +
                          static_cast<unsigned>(step(direction, false, back > static_cast<double>(a))));
}

}  // namespace detail

#define HIPIFY_DIRECTED(SUFFIX, DIRECTION)                                                                      \
    HIPIFY_FN float fadd##SUFFIX(float a, float b) { return detail::fma_of(a, 1.0f, b, detail::rounding::DIRECTION); }  \
    HIPIFY_FN float fsub##SUFFIX(float a, float b) { return detail::fma_of(a, 1.0f, -b, detail::rounding::DIRECTION); } \
    HIPIFY_FN float fmul##SUFFIX(float a, float b) {                                                            \
        return detail::float_of(static_cast<double>(a) * static_cast<double>(b), detail::rounding::DIRECTION);  \
    }                                                                                                           \
    HIPIFY_FN float fmaf##SUFFIX(float a, float b, float c) { return detail::fma_of(a, b, c, detail::rounding::DIRECTION); } \
    HIPIFY_FN float fdiv##SUFFIX(float a, float b) { return detail::quotient_of(a, b, detail::rounding::DIRECTION); }   \
    HIPIFY_FN float frcp##SUFFIX(float a) { return detail::quotient_of(1.0f, a, detail::rounding::DIRECTION); } \
    HIPIFY_FN float fsqrt##SUFFIX(float a) { return detail::root_of(a, detail::rounding::DIRECTION); }
HIPIFY_DIRECTED(_rz, zero)
HIPIFY_DIRECTED(_rd, down)
HIPIFY_DIRECTED(_ru, up)
#undef HIPIFY_DIRECTED

// ---- approximations ---------------------------------------------------------------------------------------------

/// Clamped to [0, 1]; a NaN becomes zero.
HIPIFY_FN float saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }

/// A product with the reciprocal. CUDA's result is zero for divisors beyond 2^126, whose reciprocals are denormal.
HIPIFY_FN float fdividef(float x, float y) {
    if (__builtin_fabsf(y) > 0x1p126f) return x * __builtin_copysignf(0.0f, y);
#if defined(__HIP_DEVICE_COMPILE__) && __HIP_DEVICE_COMPILE__
    return x * __builtin_amdgcn_rcpf(y);
#else
    return x / y;
#endif
}

}  // namespace hipify
