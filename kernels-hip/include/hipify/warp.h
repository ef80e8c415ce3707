// CUDA's warp functions: shuffles, votes, matches, reductions, `__syncwarp`.
// Sources: CUDA C++ Programming Guide, "Warp Vote/Match/Reduce/Shuffle Functions"; PTX ISA, `shfl.sync`.
//
// Knows: a CUDA warp has 32 lanes. On a target with 64-lane wavefronts each half of a wavefront is a warp: masks,
// ballots and lane numbers are the half's own, and nothing crosses from one half to the other. Threads are numbered
// into wavefronts as CUDA numbers them into warps, x first, so the threads of a warp are the same ones.
// Must not know: how a kernel uses its warps.
//
// Not reproduced: CUDA lets the lanes of a warp that took different branches meet at a `_sync` function with a common
// mask. A wavefront executes one branch after the other, so each branch's lanes meet only each other. Programs whose
// masks name lanes of another branch are outside of what this can do; candle's never do.
#pragma once

#include "hipify/core.h"

namespace hipify {

/// CUDA's `warpSize`, which is not the wavefront's size.
constexpr int warp_size = 32;

namespace detail {

/// The lane that a lane reads from, within the warp; PTX ISA's definition of `shfl` with the clamp and segment masks
/// that CUDA's functions pass. `width` is a power of two up to 32.
enum class shuffle { index, up, down, exchange };

HIPIFY_FN int source_lane(shuffle kind, int lane, int operand, int width) {
    const int segment = (32 - width) & 31;
    const int first = lane & segment;
    const int last = first | (~segment & 31);
    switch (kind) {
    case shuffle::index: return first | (operand & ~segment & 31);
    case shuffle::up: return lane - (operand & 31) >= first ? lane - (operand & 31) : lane;
    case shuffle::down: return lane + (operand & 31) <= last ? lane + (operand & 31) : lane;
    case shuffle::exchange: break;
    }
    const int other = lane ^ (operand & 31);
    return other <= last ? other : lane;
}

}  // namespace detail

#if defined(__HIP__)

namespace detail {

/// Number of the calling lane in its wavefront.
HIPIFY_DEVICE_FN int wave_lane() {
#if HIPIFY_WAVE_SIZE == 64
    return static_cast<int>(__builtin_amdgcn_mbcnt_hi(~0u, __builtin_amdgcn_mbcnt_lo(~0u, 0u)));
#else
    return static_cast<int>(__builtin_amdgcn_mbcnt_lo(~0u, 0u));
#endif
}

/// Number of the calling lane in its warp.
HIPIFY_DEVICE_FN int warp_lane() { return wave_lane() & 31; }

/// One bit for each active lane of the warp whose `predicate` holds.
HIPIFY_DEVICE_FN unsigned warp_ballot(bool predicate) {
#if HIPIFY_WAVE_SIZE == 64
    return static_cast<unsigned>(__builtin_amdgcn_ballot_w64(predicate) >> (wave_lane() & 32));
#else
    return __builtin_amdgcn_ballot_w32(predicate);
#endif
}

/// `value` with each of its 32-bit words moved by `move`.
template <class T, class Move>
HIPIFY_DEVICE_FN T move_words(T value, Move move) {
    static_assert(std::is_trivially_copyable<T>::value && sizeof(T) <= 8, "shuffles move 8 bytes at most");
    if constexpr (sizeof(T) == 8) {
        struct pair {
            int low, high;
        } words = bits_as<pair>(value);
        words.low = move(words.low);
        words.high = move(words.high);
        return bits_as<T>(words);
    } else if constexpr (sizeof(T) == 4) {
        return bits_as<T>(move(bits_as<int>(value)));
    } else if constexpr (sizeof(T) == 2) {
        return bits_as<T>(static_cast<short>(move(bits_as<short>(value))));
    } else {
        return bits_as<T>(static_cast<signed char>(move(bits_as<signed char>(value))));
    }
}

/// The word of the given lane of the warp.
HIPIFY_DEVICE_FN int word_of(int word, int lane) {
    return __builtin_amdgcn_ds_bpermute(((wave_lane() & ~31) | lane) * 4, word);
}

/// The word of the lane whose number differs in the bits of MASK, without the way through the LDS hardware's crossbar
/// addresses that a variable lane needs.
template <int Mask>
HIPIFY_DEVICE_FN int exchanged(int word) {
    constexpr int all = 0xf;
    if constexpr (Mask == 0) {
        return word;
    } else if constexpr (Mask < 4) {
        constexpr int quad = Mask | (1 ^ Mask) << 2 | (2 ^ Mask) << 4 | (3 ^ Mask) << 6;
        return __builtin_amdgcn_mov_dpp(word, quad, all, all, true);
    }
#if defined(HIPIFY_LANES) && HIPIFY_LANES == HIPIFY_LANES_RDNA
    else if constexpr (Mask < 16) {
        return __builtin_amdgcn_mov_dpp(word, 0x160 | Mask, all, all, true);
    } else if constexpr (Mask == 16) {
        return static_cast<int>(__builtin_amdgcn_permlanex16(0u, static_cast<unsigned>(word), 0x76543210u, 0xfedcba98u, false, true));
    }
#endif
    else {
        return __builtin_amdgcn_ds_swizzle(word, Mask << 10 | 0x1f);
    }
}

HIPIFY_DEVICE_FN int exchanged(int word, int mask) {
    switch (mask) {
    case 1: return exchanged<1>(word);
    case 2: return exchanged<2>(word);
    case 4: return exchanged<4>(word);
    case 8: return exchanged<8>(word);
    default: return exchanged<16>(word);
    }
}

template <class T>
HIPIFY_DEVICE_FN T shuffled(T value, shuffle kind, int operand, int width) {
    const int source = source_lane(kind, warp_lane(), operand, width);
    return move_words(value, [source](int word) { return word_of(word, source); });
}

}  // namespace detail

// ---- shuffles ---------------------------------------------------------------------------------------------------

template <class T>
HIPIFY_DEVICE_FN detail::plain<T> shfl_sync(unsigned, T value, int lane, int width = warp_size) {
    return detail::shuffled<detail::plain<T>>(value, detail::shuffle::index, lane, width);
}
template <class T>
HIPIFY_DEVICE_FN detail::plain<T> shfl_up_sync(unsigned, T value, unsigned delta, int width = warp_size) {
    return detail::shuffled<detail::plain<T>>(value, detail::shuffle::up, static_cast<int>(delta), width);
}
template <class T>
HIPIFY_DEVICE_FN detail::plain<T> shfl_down_sync(unsigned, T value, unsigned delta, int width = warp_size) {
    return detail::shuffled<detail::plain<T>>(value, detail::shuffle::down, static_cast<int>(delta), width);
}
template <class T>
HIPIFY_DEVICE_FN detail::plain<T> shfl_xor_sync(unsigned, T value, int mask, int width = warp_size) {
    // The steps of a butterfly are known once its loop is unrolled. A narrower width changes nothing as long as the
    // mask stays below it. Asked in the condition itself: a constant initialised with the answer is always false.
    if (__builtin_constant_p(mask) && __builtin_constant_p(width) && mask > 0 && mask < width &&
        (mask & (mask - 1)) == 0) {
        return detail::move_words<detail::plain<T>>(value, [mask](int word) { return detail::exchanged(word, mask); });
    }
    return detail::shuffled<detail::plain<T>>(value, detail::shuffle::exchange, mask, width);
}

// ---- votes ------------------------------------------------------------------------------------------------------

HIPIFY_DEVICE_FN unsigned activemask() { return detail::warp_ballot(true); }
HIPIFY_DEVICE_FN unsigned ballot_sync(unsigned mask, int predicate) {
    return detail::warp_ballot(predicate != 0) & mask;
}
HIPIFY_DEVICE_FN int any_sync(unsigned mask, int predicate) { return ballot_sync(mask, predicate) != 0; }
HIPIFY_DEVICE_FN int all_sync(unsigned mask, int predicate) { return ballot_sync(mask, predicate == 0) == 0; }
HIPIFY_DEVICE_FN int uni_sync(unsigned mask, int predicate) {
    return any_sync(mask, predicate) == 0 || all_sync(mask, predicate) != 0;
}

/// Orders the memory accesses of the warp's lanes around it. The lanes of a wavefront are in step already.
HIPIFY_DEVICE_FN void syncwarp(unsigned = 0xffffffffu) {
    __builtin_amdgcn_fence(__ATOMIC_RELEASE, "wavefront");
    __builtin_amdgcn_wave_barrier();
    __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "wavefront");
}

/// Waits for no longer than CUDA would: up to twice the nanoseconds, or not at all.
HIPIFY_DEVICE_FN void nanosleep(unsigned nanoseconds) {
    if (nanoseconds >= 64) __builtin_amdgcn_s_sleep(1);
}

// ---- matches ----------------------------------------------------------------------------------------------------

/// The lanes of `mask` with the same bits as the caller's.
template <class T>
HIPIFY_DEVICE_FN unsigned match_any_sync(unsigned mask, T value) {
    using type = detail::plain<T>;
    static_assert(sizeof(type) == 4 || sizeof(type) == 8, "matches compare 4 or 8 bytes");
    using word = std::conditional_t<sizeof(type) == 8, unsigned long long, unsigned>;
    const word own = detail::bits_as<word>(static_cast<type>(value));
    unsigned same = 0;
    for (unsigned rest = activemask() & mask; rest != 0; rest &= rest - 1) {
        const int lane = __builtin_ctz(rest);
        const bool is_same = shfl_sync(mask, own, lane) == own;
        same |= is_same ? 1u << lane : 0u;
    }
    return same;
}

/// `mask` if all its lanes have the same bits, else 0.
template <class T>
HIPIFY_DEVICE_FN unsigned match_all_sync(unsigned mask, T value, int *is_same) {
    const unsigned participants = activemask() & mask;
    *is_same = match_any_sync(mask, value) == participants;
    return *is_same ? mask : 0u;
}

// ---- reductions -------------------------------------------------------------------------------------------------

namespace detail {

/// `value` combined over the lanes of `mask`. A full warp takes the five steps of a butterfly.
template <class T, class Combine>
HIPIFY_DEVICE_FN T reduced(unsigned mask, T value, Combine combine) {
    const unsigned participants = activemask() & mask;
    if (participants == 0xffffffffu) {
#pragma unroll
        for (int step = 16; step > 0; step >>= 1) value = combine(value, shfl_xor_sync(mask, value, step));
        return value;
    }
    T result = shfl_sync(mask, value, __builtin_ctz(participants | 0x80000000u));
    for (unsigned rest = participants & (participants - 1); rest != 0; rest &= rest - 1) {
        result = combine(result, shfl_sync(mask, value, __builtin_ctz(rest)));
    }
    return result;
}

}  // namespace detail

#define HIPIFY_REDUCTION(NAME, TYPE, RESULT)                                               \
    HIPIFY_DEVICE_FN TYPE NAME(unsigned mask, TYPE value) {                                \
        return detail::reduced(mask, value, [](TYPE a, TYPE b) -> TYPE { return RESULT; }); \
    }
HIPIFY_REDUCTION(reduce_add_sync, unsigned, a + b)
HIPIFY_REDUCTION(reduce_add_sync, int, static_cast<int>(static_cast<unsigned>(a) + static_cast<unsigned>(b)))
HIPIFY_REDUCTION(reduce_min_sync, unsigned, a < b ? a : b)
HIPIFY_REDUCTION(reduce_min_sync, int, a < b ? a : b)
HIPIFY_REDUCTION(reduce_max_sync, unsigned, a > b ? a : b)
HIPIFY_REDUCTION(reduce_max_sync, int, a > b ? a : b)
HIPIFY_REDUCTION(reduce_and_sync, unsigned, a & b)
HIPIFY_REDUCTION(reduce_or_sync, unsigned, a | b)
HIPIFY_REDUCTION(reduce_xor_sync, unsigned, a ^ b)
#undef HIPIFY_REDUCTION

#endif

}  // namespace hipify
