// CUDA's `cuda/std/limits`: `numeric_limits` for device code.
//
// Knows: clang compiles the constexpr members of the C++ standard library for the device too.
// Must not know: the rest of libcu++. The namespace is not called `std`, because it would hide the real one.
#pragma once

#include <limits>

namespace hipify {
namespace cuda_std {

using ::std::numeric_limits;

}  // namespace cuda_std
}  // namespace hipify
