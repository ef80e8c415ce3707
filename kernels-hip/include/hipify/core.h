// The ground that the other headers stand on: how a function is declared, and reinterpretation of bits.
//
// Knows: HIP's function attributes, and how to do without them. Everything declared with HIPIFY_FN also compiles as
// plain C++ for the host, which is how the tests check it value by value.
// Must not know: CUDA's names.
#pragma once

#include <cmath>
#include <limits>
#include <type_traits>

#include "hipify/target.h"

#if defined(__HIP__)
#include <hip/hip_runtime.h>
#define HIPIFY_FN __host__ __device__ inline __attribute__((always_inline))
#define HIPIFY_DEVICE_FN __device__ inline __attribute__((always_inline))
#else
#define HIPIFY_FN inline
#endif

namespace hipify {

/// Release of the CUDA toolkit whose headers and library functions these reproduce.
#define HIPIFY_CUDACC_VER_MAJOR 13
#define HIPIFY_CUDACC_VER_MINOR 0
#define HIPIFY_CUDA_VERSION (HIPIFY_CUDACC_VER_MAJOR * 1000 + HIPIFY_CUDACC_VER_MINOR * 10)

namespace detail {

/// The object representation of `from`, read as a `To`.
template <class To, class From>
HIPIFY_FN To bits_as(const From &from) {
    static_assert(sizeof(To) == sizeof(From), "reinterpretation keeps the size");
    static_assert(std::is_trivially_copyable<To>::value && std::is_trivially_copyable<From>::value,
                  "reinterpretation needs plain bits");
    return __builtin_bit_cast(To, from);
}

/// IEEE 754's directions, in the order of CUDA's suffixes `_rn`, `_rz`, `_rd`, `_ru`.
enum class rounding { nearest, zero, down, up };

/// `x` rounded to an integral value in the given direction; ties go to even.
HIPIFY_FN float round_integral(float x, rounding direction) {
    switch (direction) {
    case rounding::zero: return __builtin_truncf(x);
    case rounding::down: return __builtin_floorf(x);
    case rounding::up: return __builtin_ceilf(x);
    case rounding::nearest: break;
    }
    return __builtin_rintf(x);
}

/// An integral float as an integer: clamped to the range of `Int`, and for a NaN zero, or, as PTX's 64-bit
/// conversions give it, the most significant bit alone.
template <class Int>
HIPIFY_FN Int saturate_integral(float x) {
    using limits = std::numeric_limits<Int>;
    if (x != x) {
        return sizeof(Int) == 8 ? static_cast<Int>(1ull << 63) : Int(0);
    }
    // The bounds are powers of two, hence exact floats, also where the largest integer is not.
    const float above = static_cast<float>(1ull << (limits::digits - 1)) * 2.0f;
    const float lowest = limits::is_signed ? -above : 0.0f;
    if (x >= above) return limits::max();
    if (x < lowest) return limits::min();
    return static_cast<Int>(x);
}

/// The float nearest to `x` that still tells, in its last bit, whether `x` was exact: rounding to odd. A second
/// rounding, to at most 22 bits, then gives what one rounding of `x` would have given.
HIPIFY_FN float round_to_odd(double x) {
    const float nearest = static_cast<float>(x);
    const double back = static_cast<double>(nearest);
    if (back == x || x != x) return nearest;
    unsigned bits = bits_as<unsigned>(nearest);
    bits -= __builtin_fabs(back) > __builtin_fabs(x) ? 1u : 0u;
    return bits_as<float>(bits | 1u);
}

HIPIFY_FN float round_to_odd(int x) { return round_to_odd(static_cast<double>(x)); }
HIPIFY_FN float round_to_odd(unsigned x) { return round_to_odd(static_cast<double>(x)); }

HIPIFY_FN float round_to_odd(unsigned long long x) {
    if (x < (1u << 24)) return static_cast<float>(static_cast<unsigned>(x));
    const int shift = 64 - 24 - __builtin_clzll(x);
    const unsigned lost = (x & ((1ull << shift) - 1)) != 0 ? 1u : 0u;
    const unsigned kept = static_cast<unsigned>(x >> shift) | lost;
    return static_cast<float>(kept) * bits_as<float>(static_cast<unsigned>(127 + shift) << 23);
}

HIPIFY_FN float round_to_odd(long long x) {
    const unsigned long long magnitude = x < 0 ? 0ull - static_cast<unsigned long long>(x) : static_cast<unsigned long long>(x);
    const float result = round_to_odd(magnitude);
    return x < 0 ? -result : result;
}

}  // namespace detail
}  // namespace hipify
