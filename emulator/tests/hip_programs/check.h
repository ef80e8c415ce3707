// What the programs share: a call that fails, or a value that is wrong, ends the program with a message.
#pragma once
#include <hip/hip_runtime.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <vector>

#define HIP(call)                                                                              \
    do {                                                                                       \
        hipError_t status = (call);                                                            \
        if (status != hipSuccess) {                                                            \
            std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, hipGetErrorName(status)); \
            std::exit(1);                                                                      \
        }                                                                                      \
    } while (0)

#define LAUNCHED() HIP(hipGetLastError())

template <class T> void equal(T found, T expected, const char *what, long index = 0) {
    if (!(found == expected)) {
        std::fprintf(stderr, "%s[%ld] is %.9g, expected %.9g\n", what, index, double(found), double(expected));
        std::exit(1);
    }
}

inline void near(double found, double expected, double bound, const char *what, long index = 0) {
    if (!(std::fabs(found - expected) <= bound)) {
        std::fprintf(stderr, "%s[%ld] is %.9g, expected %.9g\n", what, index, found, expected);
        std::exit(1);
    }
}

// Device memory with the size of a vector, filled from it.
template <class T> T *upload(const std::vector<T> &values) {
    T *pointer = nullptr;
    HIP(hipMalloc(&pointer, values.size() * sizeof(T)));
    HIP(hipMemcpy(pointer, values.data(), values.size() * sizeof(T), hipMemcpyHostToDevice));
    return pointer;
}

template <class T> std::vector<T> download(const T *pointer, size_t count) {
    std::vector<T> values(count);
    HIP(hipMemcpy(values.data(), pointer, count * sizeof(T), hipMemcpyDeviceToHost));
    return values;
}

// The same numbers on every machine.
struct Random {
    unsigned long long state = 88172645463325252ull;
    unsigned operator()() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return unsigned(state >> 16);
    }
};
