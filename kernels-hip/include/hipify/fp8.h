// CUDA's `cuda_fp8.h`: the 8-bit floating-point types E4M3 and E5M2, their vectors, and the conversions.
// Source: CUDA Math API, "FP8 Intrinsics"; the formats are those of the OCP 8-bit floating point specification.
//
// Knows: OCP's encodings. E4M3 has no infinity and one NaN, 0x7f with either sign, and ends at 448; E5M2 is IEEE-like
// and ends at 57344. Targets whose instructions convert these very formats use them (HIPIFY_FP8_OCP).
// Must not know: HIP's fp8 types. On gfx942 those are the FNUZ formats, whose bytes mean other numbers.
#pragma once

#include "hipify/bf16.h"
#include "hipify/core.h"
#include "hipify/fp16.h"

namespace hipify {

using fp8_storage_t = unsigned char;
using fp8x2_storage_t = unsigned short;
using fp8x4_storage_t = unsigned;

enum saturation_t { NOSAT, SATFINITE };
enum fp8_interpretation_t { E4M3, E5M2 };

namespace detail {

/// What tells the two formats apart, in float's terms.
struct fp8_format {
    int mantissa_bits;
    int bias;
    unsigned largest;   // bits of the largest finite number
    unsigned overflow;  // bits of what becomes of numbers beyond it unless saturated
};

HIPIFY_FN constexpr fp8_format format_of(fp8_interpretation_t kind) {
    return kind == E4M3 ? fp8_format{3, 7, 0x7e, 0x7f} : fp8_format{2, 15, 0x7b, 0x7c};
}

/// To nearest, ties to even.
HIPIFY_FN fp8_storage_t fp8_from_float(float value, saturation_t saturation, fp8_interpretation_t kind) {
    const fp8_format format = format_of(kind);
    const unsigned bits = bits_as<unsigned>(value);
    const unsigned sign = (bits >> 24) & 0x80u;
    const unsigned magnitude = bits & 0x7fffffffu;
    const int dropped = 23 - format.mantissa_bits;
    const unsigned smallest_normal = static_cast<unsigned>(127 + 1 - format.bias) << 23;
    unsigned result;
    if (magnitude > 0x7f800000u) return 0x7f;
    if (magnitude >= smallest_normal) {
        const unsigned rebased = magnitude - (static_cast<unsigned>(127 - format.bias) << 23);
        result = (rebased + ((1u << (dropped - 1)) - 1) + ((rebased >> dropped) & 1u)) >> dropped;
        if (result > format.largest) result = saturation == SATFINITE ? format.largest : format.overflow;
    } else {
        // Adding a number whose last place is the format's smallest step rounds to that step.
        const float step = bits_as<float>(static_cast<unsigned>(127 + 1 - format.bias - format.mantissa_bits + 23) << 23);
        result = bits_as<unsigned>(bits_as<float>(magnitude) + step) - bits_as<unsigned>(step);
    }
    return static_cast<fp8_storage_t>(sign | result);
}

HIPIFY_FN half_raw half_from_fp8(fp8_storage_t x, fp8_interpretation_t kind) {
    const unsigned sign = (x & 0x80u) << 8;
    const unsigned magnitude = x & 0x7fu;
    // E5M2 is the upper half of a half. E4M3 has one exponent bit less, and a bias that is 8 smaller.
    if (kind == E5M2) {
        return half_raw{static_cast<unsigned short>(magnitude > 0x7c ? 0x7fffu : sign | (magnitude << 8))};
    }
    if (magnitude == 0x7f) return half_raw{0x7fff};
    const _Float16 scaled = bits_as<_Float16>(static_cast<unsigned short>(sign | (magnitude << 7)));
    return half_raw{bits_as<unsigned short>(static_cast<_Float16>(scaled * static_cast<_Float16>(256.0f)))};
}

}  // namespace detail

HIPIFY_FN fp8_storage_t cvt_float_to_fp8(float x, saturation_t saturation, fp8_interpretation_t kind) {
    return detail::fp8_from_float(x, saturation, kind);
}
HIPIFY_FN fp8_storage_t cvt_double_to_fp8(double x, saturation_t saturation, fp8_interpretation_t kind) {
    return detail::fp8_from_float(detail::round_to_odd(x), saturation, kind);
}
HIPIFY_FN fp8_storage_t cvt_halfraw_to_fp8(half_raw x, saturation_t saturation, fp8_interpretation_t kind) {
    return detail::fp8_from_float(half(x), saturation, kind);
}
HIPIFY_FN fp8_storage_t cvt_bfloat16raw_to_fp8(bfloat16_raw x, saturation_t saturation, fp8_interpretation_t kind) {
    return detail::fp8_from_float(bfloat16(x), saturation, kind);
}
HIPIFY_FN half_raw cvt_fp8_to_halfraw(fp8_storage_t x, fp8_interpretation_t kind) {
    return detail::half_from_fp8(x, kind);
}
HIPIFY_FN half2_raw cvt_fp8x2_to_halfraw2(fp8x2_storage_t x, fp8_interpretation_t kind) {
    return half2_raw{detail::half_from_fp8(static_cast<fp8_storage_t>(x), kind).x,
                     detail::half_from_fp8(static_cast<fp8_storage_t>(x >> 8), kind).x};
}
HIPIFY_FN fp8x2_storage_t cvt_halfraw2_to_fp8x2(half2_raw x, saturation_t saturation, fp8_interpretation_t kind) {
    return static_cast<fp8x2_storage_t>(cvt_halfraw_to_fp8(half_raw{x.x}, saturation, kind) |
                                        cvt_halfraw_to_fp8(half_raw{x.y}, saturation, kind) << 8);
}
HIPIFY_FN fp8x2_storage_t cvt_bfloat16raw2_to_fp8x2(bfloat162_raw x, saturation_t saturation,
                                                    fp8_interpretation_t kind) {
    return static_cast<fp8x2_storage_t>(cvt_bfloat16raw_to_fp8(bfloat16_raw{x.x}, saturation, kind) |
                                        cvt_bfloat16raw_to_fp8(bfloat16_raw{x.y}, saturation, kind) << 8);
}
#if defined(__HIP__)
HIPIFY_FN fp8x2_storage_t cvt_float2_to_fp8x2(float2 x, saturation_t saturation, fp8_interpretation_t kind) {
    return static_cast<fp8x2_storage_t>(cvt_float_to_fp8(x.x, saturation, kind) |
                                        cvt_float_to_fp8(x.y, saturation, kind) << 8);
}
HIPIFY_FN fp8x2_storage_t cvt_double2_to_fp8x2(double2 x, saturation_t saturation, fp8_interpretation_t kind) {
    return static_cast<fp8x2_storage_t>(cvt_double_to_fp8(x.x, saturation, kind) |
                                        cvt_double_to_fp8(x.y, saturation, kind) << 8);
}
#endif

// The classes. Construction saturates; every conversion has to be asked for.
#define HIPIFY_FP8_CLASS(NAME, KIND)                                                                               \
    struct NAME {                                                                                                  \
        fp8_storage_t __x;                                                                                         \
        NAME() = default;                                                                                          \
        HIPIFY_FN explicit NAME(float x) : __x(cvt_float_to_fp8(x, SATFINITE, KIND)) {}                            \
        HIPIFY_FN explicit NAME(double x) : __x(cvt_double_to_fp8(x, SATFINITE, KIND)) {}                          \
        HIPIFY_FN explicit NAME(half x) : NAME(float(x)) {}                                                        \
        HIPIFY_FN explicit NAME(bfloat16 x) : NAME(float(x)) {}                                                    \
        HIPIFY_FN explicit NAME(short x) : NAME(float(x)) {}                                                       \
        HIPIFY_FN explicit NAME(unsigned short x) : NAME(float(x)) {}                                              \
        HIPIFY_FN explicit NAME(int x) : NAME(float(x)) {}                                                         \
        HIPIFY_FN explicit NAME(unsigned x) : NAME(float(x)) {}                                                    \
        HIPIFY_FN explicit NAME(long x) : NAME(float(x)) {}                                                        \
        HIPIFY_FN explicit NAME(unsigned long x) : NAME(float(x)) {}                                               \
        HIPIFY_FN explicit NAME(long long x) : NAME(float(x)) {}                                                   \
        HIPIFY_FN explicit NAME(unsigned long long x) : NAME(float(x)) {}                                          \
        HIPIFY_FN explicit operator half() const { return half(cvt_fp8_to_halfraw(__x, KIND)); }                   \
        HIPIFY_FN explicit operator float() const { return half(*this); }                                          \
        HIPIFY_FN explicit operator bfloat16() const { return bfloat16(float(*this)); }                            \
        HIPIFY_FN explicit operator double() const { return float(*this); }                                        \
        HIPIFY_FN explicit operator bool() const { return (__x & 0x7f) != 0; }                                     \
        template <class Int, std::enable_if_t<std::is_integral<Int>::value && !std::is_same<Int, bool>::value, int> = 0> \
        HIPIFY_FN explicit operator Int() const {                                                                  \
            return static_cast<Int>(half(*this));                                                                  \
        }                                                                                                          \
    };
HIPIFY_FP8_CLASS(fp8_e4m3, E4M3)
HIPIFY_FP8_CLASS(fp8_e5m2, E5M2)
#undef HIPIFY_FP8_CLASS

#if defined(__HIP__)
#define HIPIFY_FP8_VECTORS(NAME2, NAME4, KIND)                                                                     \
    struct NAME2 {                                                                                                 \
        fp8x2_storage_t __x;                                                                                       \
        NAME2() = default;                                                                                         \
        HIPIFY_FN explicit NAME2(half2 x) : __x(cvt_halfraw2_to_fp8x2(x, SATFINITE, KIND)) {}                      \
        HIPIFY_FN explicit NAME2(bfloat162 x) : __x(cvt_bfloat16raw2_to_fp8x2(x, SATFINITE, KIND)) {}              \
        HIPIFY_FN explicit NAME2(float2 x) : __x(cvt_float2_to_fp8x2(x, SATFINITE, KIND)) {}                       \
        HIPIFY_FN explicit NAME2(double2 x) : __x(cvt_double2_to_fp8x2(x, SATFINITE, KIND)) {}                     \
        HIPIFY_FN explicit operator half2() const { return half2(cvt_fp8x2_to_halfraw2(__x, KIND)); }              \
        HIPIFY_FN explicit operator float2() const { return half22float2(half2(*this)); }                          \
    };                                                                                                             \
    struct NAME4 {                                                                                                 \
        fp8x4_storage_t __x;                                                                                       \
        NAME4() = default;                                                                                         \
        HIPIFY_FN explicit NAME4(float4 x)                                                                         \
            : __x(NAME2(make_float2(x.x, x.y)).__x | unsigned(NAME2(make_float2(x.z, x.w)).__x) << 16) {}          \
        HIPIFY_FN explicit NAME4(double4 x)                                                                        \
            : __x(NAME2(make_double2(x.x, x.y)).__x | unsigned(NAME2(make_double2(x.z, x.w)).__x) << 16) {}        \
        HIPIFY_FN NAME4(half2 low, half2 high) : __x(NAME2(low).__x | unsigned(NAME2(high).__x) << 16) {}          \
        HIPIFY_FN NAME4(bfloat162 low, bfloat162 high) : __x(NAME2(low).__x | unsigned(NAME2(high).__x) << 16) {}  \
        HIPIFY_FN explicit operator float4() const {                                                               \
            const float2 low = half22float2(cvt_fp8x2_to_halfraw2(static_cast<fp8x2_storage_t>(__x), KIND));       \
            const float2 high = half22float2(cvt_fp8x2_to_halfraw2(static_cast<fp8x2_storage_t>(__x >> 16), KIND)); \
            return make_float4(low.x, low.y, high.x, high.y);                                                      \
        }                                                                                                          \
    };
HIPIFY_FP8_VECTORS(fp8x2_e4m3, fp8x4_e4m3, E4M3)
HIPIFY_FP8_VECTORS(fp8x2_e5m2, fp8x4_e5m2, E5M2)
#undef HIPIFY_FP8_VECTORS
#endif

}  // namespace hipify
