// What CUDA programs have without including anything. Every translated file includes this first.
//
// The headers that CUDA programs do include (`cuda_fp16.h`, `cuda_bf16.h`, `cuda_fp8.h`, `cuda/std/limits`) have their
// own counterparts beside this one. Everything is in namespace `hipify`, under CUDA's name without its leading
// underscores, except overloads of functions that HIP has for fewer types.
//
// Knows: the list. Must not know: anything else.
#pragma once

#include "hipify/atomic.h"
#include "hipify/core.h"
#include "hipify/integer.h"
#include "hipify/launch.h"
#include "hipify/memory.h"
#include "hipify/minmax.h"
#include "hipify/numeric.h"
#include "hipify/simd.h"
#include "hipify/warp.h"
