// CUDA's `cuda_fp16.h`: the half-precision type, its pair, and their functions.
//
// Knows: IEEE 754 binary16, which every target here computes natively, two at a time in packed math.
// Must not know: HIP's own `__half`, whose members and conversions changed between releases and are not CUDA's.
#pragma once

#include "hipify/atomic.h"
#include "hipify/core.h"

namespace hipify {

struct half;

namespace detail {

struct binary16 {
    static constexpr unsigned infinity = 0x7c00;
    static HIPIFY_FN float widen(unsigned short bits) { return static_cast<float>(bits_as<_Float16>(bits)); }
    // LLVM selects `v_fma_mixlo_f16 a, b, 0` for a product that is narrowed, whose +0 addend turns a product of -0 into +0.
    // An empty asm keeps the product out of the conversion's reach; it costs no instruction but that selection.
    static HIPIFY_FN unsigned short narrow(float value) {
#ifdef __HIP_DEVICE_COMPILE__
        if (!__builtin_constant_p(value)) {
            asm("" : "+v"(value));
        }
#endif
        return bits_as<unsigned short>(static_cast<_Float16>(value));
    }
    static HIPIFY_FN half narrow(float value, rounding direction);
    static HIPIFY_FN half from_bits(unsigned value);
};

}  // namespace detail

#define HIPIFY_T half
#define HIPIFY_T2 half2
#define HIPIFY_TO_PAIR 2half2
#define HIPIFY_RAW half_raw
#define HIPIFY_RAW2 half2_raw
#define HIPIFY_FORMAT detail::binary16
#include "hipify/detail/float16_type.inl"

namespace detail {

typedef _Float16 half_lanes __attribute__((ext_vector_type(2)));

HIPIFY_FN _Float16 native(half a) { return bits_as<_Float16>(a); }
HIPIFY_FN half_lanes native(half2 a) { return bits_as<half_lanes>(a); }
HIPIFY_FN half wrapped(_Float16 a) { return bits_as<half>(a); }
HIPIFY_FN half2 wrapped(half_lanes a) { return bits_as<half2>(a); }

// These may be contracted into fused multiply-adds, as ptxas does with `mul.f16` and `add.f16`.
HIPIFY_FN half add(half a, half b) { return wrapped(static_cast<_Float16>(native(a) + native(b))); }
HIPIFY_FN half sub(half a, half b) { return wrapped(static_cast<_Float16>(native(a) - native(b))); }
HIPIFY_FN half mul(half a, half b) { return wrapped(static_cast<_Float16>(native(a) * native(b))); }
HIPIFY_FN half2 add(half2 a, half2 b) { return wrapped(native(a) + native(b)); }
HIPIFY_FN half2 sub(half2 a, half2 b) { return wrapped(native(a) - native(b)); }
HIPIFY_FN half2 mul(half2 a, half2 b) { return wrapped(native(a) * native(b)); }

// A single-precision quotient rounded again is the rounded quotient: 24 bits are two more than twice 11.
HIPIFY_FN half div(half a, half b) { return half(float(a) / float(b)); }
HIPIFY_FN half2 div(half2 a, half2 b) { return {div(a.x, b.x), div(a.y, b.y)}; }

HIPIFY_FN half fma(half a, half b, half c) {
#if defined(__HIP_DEVICE_COMPILE__) && __HIP_DEVICE_COMPILE__
    return wrapped(__builtin_fmaf16(native(a), native(b), native(c)));
#else
    return half(sum_to_odd(double(float(a)) * double(float(b)), double(float(c))));
#endif
}
HIPIFY_FN half2 fma(half2 a, half2 b, half2 c) {
#if defined(__HIP_DEVICE_COMPILE__) && __HIP_DEVICE_COMPILE__
    return wrapped(__builtin_elementwise_fma(native(a), native(b), native(c)));
#else
    return {fma(a.x, b.x, c.x), fma(a.y, b.y, c.y)};
#endif
}

// V_MAX and V_MIN put -0 below +0, as CUDA does. The host's functions take either, so there the signs are combined.
HIPIFY_FN half max(half a, half b) {
#if !defined(__HIP_DEVICE_COMPILE__) || !__HIP_DEVICE_COMPILE__
    if (float(a) == float(b)) return binary16::from_bits(bits(a) & bits(b));
#endif
    return half(__builtin_fmaxf(a, b));
}
HIPIFY_FN half min(half a, half b) {
#if !defined(__HIP_DEVICE_COMPILE__) || !__HIP_DEVICE_COMPILE__
    if (float(a) == float(b)) return binary16::from_bits(bits(a) | bits(b));
#endif
    return half(__builtin_fminf(a, b));
}

namespace uncontracted {

// The pragma withdraws the permission from the operation in its block.
#define HIPIFY_UNCONTRACTED(NAME, OPERATOR)                                        \
    HIPIFY_FN half NAME(half a, half b) {                                          \
        _Pragma("clang fp contract(off)")                                          \
        return wrapped(static_cast<_Float16>(native(a) OPERATOR native(b)));       \
    }
HIPIFY_UNCONTRACTED(add, +)
HIPIFY_UNCONTRACTED(sub, -)
HIPIFY_UNCONTRACTED(mul, *)
#undef HIPIFY_UNCONTRACTED

}  // namespace uncontracted
}  // namespace detail

#include "hipify/detail/float16_ops.inl"

#if defined(__HIP__)
HIPIFY_DEVICE_FN half atomicAdd(half *address, half value) {
    return detail::exchange_until(address, [=](half old) { return old + value; });
}
/// CUDA promises atomicity of each half; here the pair is exchanged as one.
HIPIFY_DEVICE_FN half2 atomicAdd(half2 *address, half2 value) {
    return detail::exchange_until(address, [=](half2 old) { return old + value; });
}
#endif

#undef HIPIFY_T
#undef HIPIFY_T2
#undef HIPIFY_TO_PAIR
#undef HIPIFY_RAW
#undef HIPIFY_RAW2
#undef HIPIFY_FORMAT

}  // namespace hipify

// What CUDA declares under names without underscores. A program's own names may hide these, so they are declared here
// and not renamed by the translator. The functions are overloaded in `hipify/bf16.h`.
using hipify::half;
using hipify::half2;
using hipify::make_half2;

#define HIPIFY_GLOBAL_FUNCTION(NAME) \
    using hipify::h##NAME;           \
    using hipify::h2##NAME;
#define HIPIFY_GLOBAL_FUNCTIONS                                                                          \
    HIPIFY_GLOBAL_FUNCTION(ceil) HIPIFY_GLOBAL_FUNCTION(floor) HIPIFY_GLOBAL_FUNCTION(trunc)             \
    HIPIFY_GLOBAL_FUNCTION(rint) HIPIFY_GLOBAL_FUNCTION(sqrt) HIPIFY_GLOBAL_FUNCTION(rcp)                \
    HIPIFY_GLOBAL_FUNCTION(rsqrt) HIPIFY_GLOBAL_FUNCTION(exp) HIPIFY_GLOBAL_FUNCTION(exp2)               \
    HIPIFY_GLOBAL_FUNCTION(exp10) HIPIFY_GLOBAL_FUNCTION(log) HIPIFY_GLOBAL_FUNCTION(log2)               \
    HIPIFY_GLOBAL_FUNCTION(log10) HIPIFY_GLOBAL_FUNCTION(sin) HIPIFY_GLOBAL_FUNCTION(cos)                \
    HIPIFY_GLOBAL_FUNCTION(tanh) HIPIFY_GLOBAL_FUNCTION(tanh_approx)
HIPIFY_GLOBAL_FUNCTIONS
