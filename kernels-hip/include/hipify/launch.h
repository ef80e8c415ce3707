// How many threads a block of each kernel has, and which of a module's tiles the target gets.
//
// Unless told, the compiler budgets registers for blocks of 1,024 threads. A translated module that has rows in
// `config/launch.toml` defines HIPIFY_LAUNCH_BOUNDS as the initializers of a table of patterns before it includes this,
// and has HIPIFY_KERNEL(name) before the name of each kernel.
//
// With HIPIFY_UNBOUNDED both are left as upstream has them, so that one can see what bounds and tiles are worth.
//
// Knows: patterns. Must not know: any kernel's name.
#pragma once

#include "hipify/target.h"

#ifndef HIPIFY_LAUNCH_BOUNDS
#define HIPIFY_LAUNCH_BOUNDS
#endif

// The host half of a compilation is told of no target, and its kernels are never launched.
#if !defined(HIPIFY_MMQ_TILE)
#define HIPIFY_MMQ_TILE HIPIFY_MMQ_TILE_DEFAULT
#endif

namespace hipify {

struct launch_bound {
    const char* pattern;  // `*` is any run of characters
    int threads;
};

constexpr launch_bound launch_bounds[] = {HIPIFY_LAUNCH_BOUNDS{"*", 1024}};

constexpr bool fits(const char* pattern, const char* name) {
    if (*pattern == '*') {
        return fits(pattern + 1, name) || (*name != 0 && fits(pattern, name + 1));
    }
    return *pattern == *name && (*name == 0 || fits(pattern + 1, name + 1));
}

// Threads of a block of the kernel; the first pattern that fits says.
constexpr int launch_bound_of(const char* kernel) {
    int row = 0;
    while (!fits(launch_bounds[row].pattern, kernel)) {
        ++row;
    }
    return launch_bounds[row].threads;
}

}  // namespace hipify

#if defined(HIPIFY_UNBOUNDED)
#undef HIPIFY_MMQ_TILE
#define HIPIFY_MMQ_TILE HIPIFY_MMQ_TILE_DEFAULT
#define HIPIFY_KERNEL(name)
#else
#define HIPIFY_KERNEL(name) __launch_bounds__(hipify::launch_bound_of(#name))
#endif

// `MMQ_X_Q4_0_` becomes the name of the constant for the target; HEAVY is for types that need more registers.
#if HIPIFY_MMQ_TILE == HIPIFY_MMQ_TILE_RDNA1
#define HIPIFY_TILE(name) name##RDNA1
#define HIPIFY_TILE_HEAVY(name) name##RDNA1
#elif HIPIFY_MMQ_TILE == HIPIFY_MMQ_TILE_RDNA2
#define HIPIFY_TILE(name) name##RDNA2
#define HIPIFY_TILE_HEAVY(name) name##RDNA2
#elif HIPIFY_MMQ_TILE == HIPIFY_MMQ_TILE_MIXED
#define HIPIFY_TILE(name) name##RDNA2
#define HIPIFY_TILE_HEAVY(name) name##RDNA1
#else
#define HIPIFY_TILE(name) name##AMPERE
#define HIPIFY_TILE_HEAVY(name) name##AMPERE
#endif
