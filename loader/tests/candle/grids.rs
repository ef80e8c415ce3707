//! More rows than a grid has blocks in its second dimension.

use candle_core::{CpuStorage, Layout, Shape};
use hip_loader::candle::QHipStorage;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// One more than a part of a launch, and then some.
const ROWS: usize = 65_535 + 37;
const COLUMNS: usize = 32;

/// The rows of a result that are looked at: both sides of the limit, and a sample of the others.
fn sample() -> impl Iterator<Item = usize> {
    (0..ROWS).filter(|row| row % 4001 == 0 || (65_530..65_540).contains(row) || row + 1 == ROWS)
}

#[test]
fn activations_may_have_more_rows_than_a_grid() {
    let (device, mut rng) = (device(WAVE32), ChaCha8Rng::seed_from_u64(11));
    let tensor = weights(&mut rng, 3, COLUMNS, GgmlDType::Q4_0);
    let storage = QHipStorage::from_data(device, &tensor.data().unwrap(), GgmlDType::Q4_0).unwrap();
    let xs = exact(&mut rng, ROWS * COLUMNS, 1.0 / 64.0);
    let (out, shape) = storage
        .fwd(
            tensor.shape(),
            &upload(device, CpuStorage::F32(xs.clone())),
            &Layout::contiguous((ROWS, COLUMNS)),
        )
        .unwrap();
    assert_eq!(shape.dims(), [ROWS, 3]);
    let (found, dense) = (floats(&out), dense(&tensor));
    for row in sample() {
        let (found, x) = (&found[row * 3..][..3], &xs[row * COLUMNS..][..COLUMNS]);
        let what = format!("activations, row {row}");
        compare(found, &dense, x, COLUMNS, DType::F32, &what);
    }
}

#[test]
fn weights_ids_and_tokens_may_be_more_than_a_grid() {
    let (device, mut rng) = (device(WAVE64), ChaCha8Rng::seed_from_u64(12));
    // Weights, by the vector kernels; and the same rows by their ids, in another order.
    let tensor = weights(&mut rng, ROWS, COLUMNS, GgmlDType::Q8_0);
    let storage = QHipStorage::from_data(device, &tensor.data().unwrap(), GgmlDType::Q8_0).unwrap();
    let (x, all) = (exact(&mut rng, COLUMNS, 1.0 / 64.0), dense(&tensor));
    let input = upload(device, CpuStorage::F32(x.clone()));
    let (out, _) = storage
        .fwd(
            &Shape::from((ROWS, COLUMNS)),
            &input,
            &Layout::contiguous((1, COLUMNS)),
        )
        .unwrap();
    let found = floats(&out);
    for row in sample() {
        let (found, dense) = (&found[row..][..1], &all[row * COLUMNS..][..COLUMNS]);
        compare(
            found,
            dense,
            &x,
            COLUMNS,
            DType::F32,
            &format!("weights, row {row}"),
        );
    }
    let ids: Vec<u32> = (0..ROWS as u32).rev().collect();
    let found = storage
        .embedding(
            ROWS,
            COLUMNS,
            &upload(device, CpuStorage::U32(ids)),
            &Layout::contiguous(ROWS),
        )
        .unwrap();
    let found = floats(&found);
    for row in sample() {
        let expected = &all[(ROWS - 1 - row) * COLUMNS..][..COLUMNS];
        assert_eq!(&found[row * COLUMNS..][..COLUMNS], expected, "id {row}");
    }

    // Tokens, each with one expert of two.
    let tensor = weights(&mut rng, 2, COLUMNS, GgmlDType::Q8_0);
    let storage = QHipStorage::from_data(device, &tensor.data().unwrap(), GgmlDType::Q8_0).unwrap();
    let (xs, all) = (exact(&mut rng, ROWS * COLUMNS, 1.0 / 64.0), dense(&tensor));
    let ids: Vec<u32> = (0..ROWS).map(|_| rng.random_range(0..2)).collect();
    let (out, shape) = storage
        .indexed_moe_forward(
            &Shape::from((2, 1, COLUMNS)),
            &upload(device, CpuStorage::F32(xs.clone())),
            &Layout::contiguous((ROWS, 1, COLUMNS)),
            &upload(device, CpuStorage::U32(ids.clone())),
            &Layout::contiguous((ROWS, 1)),
        )
        .unwrap();
    assert_eq!(shape.dims(), [ROWS, 1, 1]);
    let found = floats(&out);
    for row in sample() {
        let (found, x) = (&found[row..][..1], &xs[row * COLUMNS..][..COLUMNS]);
        let expert = &all[ids[row] as usize * COLUMNS..][..COLUMNS];
        compare(
            found,
            expert,
            x,
            COLUMNS,
            DType::F32,
            &format!("token {row}"),
        );
    }
}
