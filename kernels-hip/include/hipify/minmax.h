// `min` and `max` of two different types, which CUDA has for every pair of arithmetic types that C++ converts without
// doubt, and HIP for few: HIP's built-in variables (`blockDim.x`) are even of a class type of their own in some releases.
//
// Knows: the usual arithmetic conversions give the type of the result. Templates for different types, so that they
// never compete with the functions of one type, nor with overloads that HIP may have for a pair.
// Must not know: what those overloads are.
#pragma once

#include "hipify/core.h"

#if defined(__HIP__)

namespace hipify {
namespace detail {

/// Only arithmetic types and HIP's coordinates; 16-bit floats have no type here.
template <class T>
using number_of = std::enable_if_t<std::is_arithmetic<plain<T>>::value, plain<T>>;

template <class A, class B>
using common_of = std::enable_if_t<!std::is_same<A, B>::value &&
                                       (std::is_arithmetic<A>::value || std::is_arithmetic<B>::value),
                                   std::common_type_t<number_of<A>, number_of<B>>>;

template <class T>
HIPIFY_FN T smaller_of(T a, T b) {
    if constexpr (std::is_floating_point<T>::value) {
        return static_cast<T>(__builtin_fmin(a, b));
    } else {
        return b < a ? b : a;
    }
}

template <class T>
HIPIFY_FN T larger_of(T a, T b) {
    if constexpr (std::is_floating_point<T>::value) {
        return static_cast<T>(__builtin_fmax(a, b));
    } else {
        return a < b ? b : a;
    }
}

}  // namespace detail
}  // namespace hipify

template <class A, class B>
HIPIFY_FN hipify::detail::common_of<A, B> min(A a, B b) {
    return hipify::detail::smaller_of<hipify::detail::common_of<A, B>>(a, b);
}

template <class A, class B>
HIPIFY_FN hipify::detail::common_of<A, B> max(A a, B b) {
    return hipify::detail::larger_of<hipify::detail::common_of<A, B>>(a, b);
}

#endif
