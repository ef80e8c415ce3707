// CUDA's `cuda_bf16.h`: the bfloat16 type, its pair, and their functions.
//
// Knows: bfloat16 is the upper half of a float, so each operation is one in single precision, rounded once more.
// Must not know: HIP's own `__hip_bfloat16`, which HIP 5.7 has without arithmetic.
#pragma once

#include "hipify/atomic.h"
#include "hipify/core.h"
#include "hipify/fp16.h"

namespace hipify {

struct bfloat16;

namespace detail {

struct brain16 {
    static constexpr unsigned infinity = 0x7f80;
    static HIPIFY_FN float widen(unsigned short bits) { return bits_as<float>(static_cast<unsigned>(bits) << 16); }
    /// To nearest, ties to even. A NaN becomes the one that PTX's conversions give.
    static HIPIFY_FN unsigned short narrow(float value) {
        const unsigned bits = bits_as<unsigned>(value);
        const unsigned rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
        return static_cast<unsigned short>(value != value ? 0x7fffu : rounded);
    }
    static HIPIFY_FN bfloat16 narrow(float value, rounding direction);
    static HIPIFY_FN bfloat16 from_bits(unsigned value);
};

}  // namespace detail

#define HIPIFY_T bfloat16
#define HIPIFY_T2 bfloat162
#define HIPIFY_TO_PAIR 2bfloat162
#define HIPIFY_RAW bfloat16_raw
#define HIPIFY_RAW2 bfloat162_raw
#define HIPIFY_FORMAT detail::brain16
#include "hipify/detail/float16_type.inl"

namespace detail {

// Sums, products and quotients of 8-bit significands in 24 bits, rounded again, are the rounded results.
HIPIFY_FN bfloat16 add(bfloat16 a, bfloat16 b) { return bfloat16(float(a) + float(b)); }
HIPIFY_FN bfloat16 sub(bfloat16 a, bfloat16 b) { return bfloat16(float(a) - float(b)); }
HIPIFY_FN bfloat16 mul(bfloat16 a, bfloat16 b) { return bfloat16(float(a) * float(b)); }
HIPIFY_FN bfloat16 div(bfloat16 a, bfloat16 b) { return bfloat16(float(a) / float(b)); }

/// A fused multiply-add is not so lucky: its single-precision result may be a tie that the exact one is not.
HIPIFY_FN bfloat16 fma(bfloat16 a, bfloat16 b, bfloat16 c) {
    float result = __builtin_fmaf(a, b, c);
    unsigned pattern = bits_as<unsigned>(result);
    if ((pattern & 0xffffu) == 0x8000u) {
        // The difference to the larger part is exact, and adding the smaller one keeps the sign.
        const double product = double(float(a)) * double(float(b)), addend = float(c);
        const bool is_addend_larger = __builtin_fabs(addend) > __builtin_fabs(product);
        const double large = is_addend_larger ? addend : product, small = is_addend_larger ? product : addend;
        const double lost = (large - double(result)) + small;
        if (lost != 0.0) pattern += (lost > 0.0) == (result > 0.0f) ? 1u : -1u;
        result = bits_as<float>(pattern);
    }
    return bfloat16(result);
}

// V_MAX and V_MIN put -0 below +0, as CUDA does. The host's functions take either, so there the signs are combined.
HIPIFY_FN bfloat16 max(bfloat16 a, bfloat16 b) {
#if !defined(__HIP_DEVICE_COMPILE__) || !__HIP_DEVICE_COMPILE__
    if (float(a) == float(b)) return brain16::from_bits(bits(a) & bits(b));
#endif
    return bfloat16(__builtin_fmaxf(a, b));
}
HIPIFY_FN bfloat16 min(bfloat16 a, bfloat16 b) {
#if !defined(__HIP_DEVICE_COMPILE__) || !__HIP_DEVICE_COMPILE__
    if (float(a) == float(b)) return brain16::from_bits(bits(a) | bits(b));
#endif
    return bfloat16(__builtin_fminf(a, b));
}

#define HIPIFY_PAIRWISE(NAME) \
    HIPIFY_FN bfloat162 NAME(bfloat162 a, bfloat162 b) { return {NAME(a.x, b.x), NAME(a.y, b.y)}; }
HIPIFY_PAIRWISE(add)
HIPIFY_PAIRWISE(sub)
HIPIFY_PAIRWISE(mul)
HIPIFY_PAIRWISE(div)
#undef HIPIFY_PAIRWISE
HIPIFY_FN bfloat162 fma(bfloat162 a, bfloat162 b, bfloat162 c) { return {fma(a.x, b.x, c.x), fma(a.y, b.y, c.y)}; }

namespace uncontracted {

// The rounding between two operations already keeps them apart.
HIPIFY_FN bfloat16 add(bfloat16 a, bfloat16 b) { return detail::add(a, b); }
HIPIFY_FN bfloat16 sub(bfloat16 a, bfloat16 b) { return detail::sub(a, b); }
HIPIFY_FN bfloat16 mul(bfloat16 a, bfloat16 b) { return detail::mul(a, b); }

}  // namespace uncontracted
}  // namespace detail

#include "hipify/detail/float16_ops.inl"

#if defined(__HIP__)
HIPIFY_DEVICE_FN bfloat16 atomicAdd(bfloat16 *address, bfloat16 value) {
    return detail::exchange_until(address, [=](bfloat16 old) { return old + value; });
}
/// CUDA promises atomicity of each half; here the pair is exchanged as one.
HIPIFY_DEVICE_FN bfloat162 atomicAdd(bfloat162 *address, bfloat162 value) {
    return detail::exchange_until(address, [=](bfloat162 old) { return old + value; });
}
#endif

#undef HIPIFY_T
#undef HIPIFY_T2
#undef HIPIFY_TO_PAIR
#undef HIPIFY_RAW
#undef HIPIFY_RAW2
#undef HIPIFY_FORMAT

}  // namespace hipify

// As in `hipify/fp16.h`: a using-declaration names the overloads that it sees, so it is repeated after these.
using hipify::make_bfloat162;
HIPIFY_GLOBAL_FUNCTIONS
