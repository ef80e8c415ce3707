// All blocks of a cooperative launch meet, again and again: each reads what the next one wrote in the round before.
#include "check.h"

#include <hip/hip_cooperative_groups.h>

namespace cg = cooperative_groups;

__global__ void rounds(int *data, int n) {
    cg::grid_group grid = cg::this_grid();
    int me = blockIdx.x * blockDim.x + threadIdx.x, all = gridDim.x * blockDim.x;
    for (int round = 0; round < n; round++) {
        int next = data[(me + blockDim.x) % all];
        grid.sync();
        data[me] = next + 1;
        grid.sync();
    }
}

int main() {
    constexpr int BLOCKS = 6, THREADS = 96, ROUNDS = 5;
    constexpr int ALL = BLOCKS * THREADS;
    std::vector<int> start(ALL);
    for (int i = 0; i < ALL; i++) start[i] = 1000 * i;
    int *data = upload(start);
    int rounds_to_run = ROUNDS;
    void *arguments[] = {&data, &rounds_to_run};
    HIP(hipLaunchCooperativeKernel(reinterpret_cast<void *>(rounds), dim3(BLOCKS), dim3(THREADS), arguments, 0, nullptr));
    HIP(hipDeviceSynchronize());
    std::vector<int> result = download(data, ALL);
    for (int i = 0; i < ALL; i++)
        equal(result[i], start[(i + ROUNDS * THREADS) % ALL] + ROUNDS, "element", i);
    HIP(hipFree(data));
    std::puts("PASS");
}
