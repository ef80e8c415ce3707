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

/// The type of a value as CUDA has it. `threadIdx.x` and its kin are unsigned there, and in some releases of HIP objects
/// of an empty class that converts to unsigned: a template that took them as they are would copy nothing.
template <class T>
using plain = std::conditional_t<std::is_empty<T>::value && std::is_convertible<T, unsigned>::value, unsigned, T>;

/// IEEE 754's directions, in the order of CUDA's suffixes `_rn`, `_rz`, `_rd`, `_ru`.
enum class rounding { nearest, zero, down, up };

/// How many steps of magnitude lead from the number nearest to an inexact result to the number that the direction
/// asks for. `is_outside`: the nearest number is the larger one in magnitude.
HIPIFY_FN int step(rounding direction, bool is_negative, bool is_outside) {
    if (direction == rounding::nearest) return 0;
    const bool is_inward = direction == rounding::zero || (direction == rounding::down) != is_negative;
    return is_outside && is_inward ? -1 : !is_outside && !is_inward ? 1 : 0;
}

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
HIPIFY_FN double round_integral(double x, rounding direction) {
    switch (direction) {
    case rounding::zero: return __builtin_trunc(x);
    case rounding::down: return __builtin_floor(x);
    case rounding::up: return __builtin_ceil(x);
    case rounding::nearest: break;
    }
    return __builtin_rint(x);
}

/// An integral number as an integer: clamped to the range of `Int`, and for a NaN zero, or, as PTX's 64-bit
/// conversions give it, the most significant bit alone.
template <class Int, class Float>
HIPIFY_FN Int saturate_integral(Float x) {
    using limits = std::numeric_limits<Int>;
    if (x != x) {
        return sizeof(Int) == 8 ? static_cast<Int>(1ull << 63) : Int(0);
    }
    // The bounds are powers of two, hence exact, also where the largest integer is not.
    const Float above = static_cast<Float>(1ull << (limits::digits - 1)) * 2;
    const Float lowest = limits::is_signed ? -above : Float(0);
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

/// a + b, rounded to odd. The error of a sum is itself a number of its precision (Knuth's TwoSum).
HIPIFY_FN double sum_to_odd(double a, double b) {
#pragma clang fp contract(off)
    const double sum = a + b, carried = sum - a;
    const double lost = (a - (sum - carried)) + (b - carried);
    unsigned long long bits = bits_as<unsigned long long>(sum);
    // Infinite and NaN sums have a NaN for an error.
    if (lost == lost && lost != 0.0 && (bits & 1) == 0) bits += (lost > 0.0) == (sum > 0.0) ? 1ull : -1ull;
    return bits_as<double>(bits);
}

}  // namespace detail
}  // namespace hipify
