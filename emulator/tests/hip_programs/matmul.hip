// Matrix products in float, double and half through tiles in LDS, with sizes that no tile divides.
#include "check.h"
#include <hip/hip_fp16.h>

const int TILE = 16;

template <class T, class A> __global__ void multiply(const T *a, const T *b, A *c, int m, int n, int k) {
    __shared__ T as[TILE][TILE], bs[TILE][TILE];
    int row = blockIdx.y * TILE + threadIdx.y, col = blockIdx.x * TILE + threadIdx.x;
    A total = A(0);
    for (int start = 0; start < k; start += TILE) {
        int x = start + threadIdx.x, y = start + threadIdx.y;
        as[threadIdx.y][threadIdx.x] = row < m && x < k ? a[row * k + x] : T(0);
        bs[threadIdx.y][threadIdx.x] = col < n && y < k ? b[y * n + col] : T(0);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < TILE; i++) total += A(as[threadIdx.y][i]) * A(bs[i][threadIdx.x]);
        __syncthreads();
    }
    if (row < m && col < n) c[row * n + col] = total;
}

template <class T, class A> void check(double bound) {
    const int m = 37, n = 41, k = 53;
    Random random;
    std::vector<T> a(m * k), b(k * n);
    for (auto &value : a) value = T(float(int(random() % 129) - 64) / 32);
    for (auto &value : b) value = T(float(int(random() % 129) - 64) / 32);
    T *da = upload(a), *db = upload(b);
    A *dc = upload(std::vector<A>(m * n));
    multiply<T, A><<<dim3((n + TILE - 1) / TILE, (m + TILE - 1) / TILE), dim3(TILE, TILE)>>>(da, db, dc, m, n, k);
    LAUNCHED();
    std::vector<A> c = download(dc, m * n);
    for (int row = 0; row < m; row++) {
        for (int col = 0; col < n; col++) {
            double expected = 0;
            for (int i = 0; i < k; i++) expected += double(float(a[row * k + i])) * double(float(b[i * n + col]));
            near(double(c[row * n + col]), expected, bound, "c", row * n + col);
        }
    }
    HIP(hipFree(da));
    HIP(hipFree(db));
    HIP(hipFree(dc));
}

int main() {
    // The values have few bits: the sums are exact.
    check<float, float>(0);
    check<double, double>(0);
    check<__half, float>(0);
    std::puts("PASS");
}
