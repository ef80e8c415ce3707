// The first program of every tutorial, with a size that no block divides.
#include "check.h"

__global__ void add(const float *a, const float *b, float *c, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) c[i] = a[i] + b[i];
}

int main() {
    const int n = 10007;
    std::vector<float> a(n), b(n);
    for (int i = 0; i < n; i++) a[i] = 0.25f * i, b[i] = 1000.0f - i;
    float *da = upload(a), *db = upload(b), *dc = nullptr;
    HIP(hipMalloc(&dc, n * sizeof(float)));
    add<<<(n + 255) / 256, 256>>>(da, db, dc, n);
    LAUNCHED();
    std::vector<float> c = download(dc, n);
    for (int i = 0; i < n; i++) equal(c[i], a[i] + b[i], "c", i);
    HIP(hipFree(da));
    HIP(hipFree(db));
    HIP(hipFree(dc));
    std::puts("PASS");
}
