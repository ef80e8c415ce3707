// Warp functions and atomics, checked on the device: what a lane gets from another one is compared with what that lane
// wrote into LDS. `checks` runs as blocks of any number of full warps; failures[i] counts wrong results of check i.
#include "hipify/hipify.h"

#include "hipify/bf16.h"
#include "hipify/fp16.h"

using namespace hipify;

namespace {

constexpr unsigned all_lanes = 0xffffffffu;
constexpr int most_threads = 256;

__device__ unsigned scrambled(unsigned x) {
    x = (x ^ (x >> 16)) * 0x7feb352du;
    x = (x ^ (x >> 15)) * 0x846ca68bu;
    return x ^ (x >> 16);
}

/// The values of the calling thread's warp.
__shared__ unsigned written[most_threads];
__device__ unsigned of_lane(int lane) { return written[(threadIdx.x & ~31u) + static_cast<unsigned>(lane)]; }

template <class T>
__device__ T value_of(unsigned bits) {
    if constexpr (sizeof(T) == 8) {
        return detail::bits_as<T>(static_cast<unsigned long long>(bits) << 32 | ~bits);
    } else if constexpr (sizeof(T) == 2) {
        return detail::bits_as<T>(static_cast<unsigned short>(bits));
    } else {
        return detail::bits_as<T>(bits);
    }
}

template <class T>
__device__ bool same(T a, T b) {
    using bits = std::conditional_t<sizeof(T) == 8, unsigned long long, std::conditional_t<sizeof(T) == 4, unsigned, unsigned short>>;
    return detail::bits_as<bits>(a) == detail::bits_as<bits>(b);
}

template <class T>
__device__ unsigned shuffles(unsigned own) {
    const int lane = static_cast<int>(threadIdx.x & 31u);
    unsigned wrong = 0;
    const T value = value_of<T>(own);
    for (int width = 1; width <= 32; width *= 2) {
        for (int operand = 0; operand < 32; ++operand) {
            using detail::shuffle;
            const auto expected = [&](shuffle kind) { return value_of<T>(of_lane(detail::source_lane(kind, lane, operand, width))); };
            wrong += !same(shfl_sync(all_lanes, value, operand, width), expected(shuffle::index));
            wrong += !same(shfl_up_sync(all_lanes, value, static_cast<unsigned>(operand), width), expected(shuffle::up));
            wrong += !same(shfl_down_sync(all_lanes, value, static_cast<unsigned>(operand), width), expected(shuffle::down));
            wrong += !same(shfl_xor_sync(all_lanes, value, operand, width), expected(shuffle::exchange));
        }
    }
    return wrong;
}

/// Steps that the compiler knows, which other instructions carry out.
template <class T, int Mask>
__device__ unsigned known_step(unsigned own) {
    const int lane = static_cast<int>(threadIdx.x & 31u);
    const T value = value_of<T>(own);
    return !same(shfl_xor_sync(all_lanes, value, Mask), value_of<T>(of_lane(lane ^ Mask))) +
           !same(shfl_xor_sync(all_lanes, value, Mask, Mask * 2), value_of<T>(of_lane(lane ^ Mask)));
}

template <class T>
__device__ unsigned known_steps(unsigned own) {
    return known_step<T, 1>(own) + known_step<T, 2>(own) + known_step<T, 4>(own) + known_step<T, 8>(own) +
           known_step<T, 16>(own);
}

template <class Condition>
__device__ unsigned lanes_with(Condition condition) {
    unsigned lanes = 0;
    for (int lane = 0; lane < 32; ++lane) lanes |= condition(of_lane(lane), lane) ? 1u << lane : 0u;
    return lanes;
}

/// Votes, matches and reductions of the lanes in `mask`, all of them here.
__device__ unsigned together(unsigned mask, unsigned own) {
    const auto is_odd = [](unsigned x) { return (x & 1) != 0; };
    const unsigned odd = lanes_with([&](unsigned x, int) { return is_odd(x); });
    unsigned wrong = 0;
    wrong += activemask() != mask;
    wrong += ballot_sync(mask, is_odd(own)) != (odd & mask);
    wrong += any_sync(mask, is_odd(own)) != ((odd & mask) != 0);
    wrong += all_sync(mask, is_odd(own)) != ((odd & mask) == mask);
    wrong += all_sync(mask, 1) != 1;
    wrong += any_sync(mask, 0) != 0;
    wrong += match_any_sync(mask, own % 3) != (lanes_with([&](unsigned x, int) { return x % 3 == own % 3; }) & mask);
    int is_same = -1;
    wrong += match_all_sync(mask, 7u, &is_same) != mask || is_same != 1;
    unsigned sum = 0, least = ~0u, most = 0, both = ~0u, either = 0, parity = 0;
    int low = 0x7fffffff, high = -0x7fffffff - 1;
    for (int lane = 0; lane < 32; ++lane) {
        if ((mask >> lane & 1) == 0) continue;
        const unsigned x = of_lane(lane);
        const int y = static_cast<int>(x);
        sum += x;
        least = x < least ? x : least;
        most = x > most ? x : most;
        low = y < low ? y : low;
        high = y > high ? y : high;
        both &= x;
        either |= x;
        parity ^= x;
    }
    wrong += reduce_add_sync(mask, own) != sum;
    wrong += reduce_add_sync(mask, static_cast<int>(own)) != static_cast<int>(sum);
    wrong += reduce_min_sync(mask, own) != least;
    wrong += reduce_max_sync(mask, own) != most;
    wrong += reduce_min_sync(mask, static_cast<int>(own)) != low;
    wrong += reduce_max_sync(mask, static_cast<int>(own)) != high;
    wrong += reduce_and_sync(mask, own) != both;
    wrong += reduce_or_sync(mask, own) != either;
    wrong += reduce_xor_sync(mask, own) != parity;
    return wrong;
}

}  // namespace

extern "C" __global__ void checks(unsigned *failures) {
    const unsigned own = scrambled(threadIdx.x + 1000 * blockIdx.x);
    written[threadIdx.x] = own;
    __syncthreads();
    atomicAdd(&failures[0], shuffles<unsigned>(own));
    atomicAdd(&failures[1], shuffles<double>(own));
    atomicAdd(&failures[2], shuffles<half>(own) + shuffles<short>(own));
    atomicAdd(&failures[3], known_steps<unsigned>(own) + known_steps<long long>(own) + known_steps<bfloat16>(own));
    atomicAdd(&failures[4], together(all_lanes, own));
    // The coordinates themselves, which are no plain numbers in every release of HIP.
    atomicAdd(&failures[4], shfl_xor_sync(all_lanes, threadIdx.x, 3) != (threadIdx.x ^ 3u));
    atomicAdd(&failures[4], shfl_sync(all_lanes, threadIdx.x, 6) != (threadIdx.x & ~31u) + 6);
    // Some lanes, other ones in each warp, so that the two warps of a 64-lane wavefront differ.
    const unsigned some = scrambled(77 + threadIdx.x / 32 + 1000 * blockIdx.x) | 1u;
    if (some >> (threadIdx.x & 31u) & 1u) atomicAdd(&failures[5], together(some, own));
    // One warp alone.
    if (threadIdx.x / 32 == 1) atomicAdd(&failures[6], together(all_lanes, own));
    __syncthreads();
    written[threadIdx.x] = own + 1;
    syncwarp();
    atomicAdd(&failures[7], of_lane(static_cast<int>((threadIdx.x + 5) & 31u)) != scrambled((threadIdx.x & ~31u) + ((threadIdx.x + 5) & 31u) + 1000 * blockIdx.x) + 1);
}

/// Sums and exchanges of 16 bits: `halves` has a half, a bfloat16, their pairs and a counter, zero at first, which end
/// as multiples of the number of threads.
struct totals {
    half one_half;
    bfloat16 one_bfloat16;
    half2 two_halves;
    bfloat162 two_bfloat16;
    unsigned short counter, guard;
    float2 two_floats;
};

extern "C" __global__ void sums(totals *all) {
    atomicAdd(&all->one_half, half(0.5f));
    atomicAdd(&all->one_bfloat16, bfloat16(1.0f));
    atomicAdd(&all->two_halves, half2(half(0.25f), half(1.0f)));
    atomicAdd(&all->two_bfloat16, bfloat162(bfloat16(-1.0f), bfloat16(0.5f)));
    atomicAdd(&all->two_floats, make_float2(1.0f, -2.0f));
    for (unsigned short seen = all->counter, expected;;) {
        expected = seen;
        seen = atomicCAS(&all->counter, expected, static_cast<unsigned short>(expected + 3));
        if (seen == expected) break;
    }
}
