//! Launches that do not fit are refused before anything is launched, and say what does not fit.

mod support;

use hip_loader::{
    ArgProblem, Error, Function, LaunchConfig, LaunchError, Module, ModuleError, SlotKind, Stream,
};
use support::{Stub, kernels};

fn stream_and_module(stub: &Stub) -> (Stream, Module) {
    let device = stub.runtime().device(0).unwrap();
    let module = Module::load(&device, &kernels()).unwrap();
    (device.new_stream().unwrap(), module)
}

fn problem(result: Result<(), Error>) -> LaunchError {
    match result {
        Err(Error::Launch { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn arguments_are_checked_against_the_code_object() {
    let stub = Stub::new(&[]);
    let (stream, module) = stream_and_module(&stub);
    let saxpy = module.function("saxpy").unwrap();
    assert_eq!(saxpy.args().len(), 4);
    assert_eq!(saxpy.args()[1].kind, SlotKind::Pointer);
    let x = stream.alloc_zeros::<f32>(64).unwrap();
    let mut y = stream.alloc_zeros::<f32>(64).unwrap();
    let config = LaunchConfig::for_elements(64, 64);
    let with = |run: &mut dyn FnMut(&mut hip_loader::LaunchBuilder<'_>)| {
        let mut launch = stream.launch(&saxpy);
        run(&mut launch);
        // SAFETY: the stub runs no kernel.
        unsafe { launch.run(config) }
    };

    with(&mut |launch| {
        launch.arg(1.0_f32).arg(x.ptr()).arg(y.ptr()).arg(64_i32);
    })
    .unwrap();
    assert_eq!(stub.launches(), 1);

    let found = problem(with(&mut |launch| {
        launch.arg(1.0_f32).arg(x.ptr());
    }));
    assert_eq!(
        found,
        LaunchError::ArgCount {
            expected: 4,
            given: 2
        }
    );
    let found = problem(with(&mut |launch| {
        launch
            .arg(1.0_f32)
            .arg(x.ptr())
            .arg(y.ptr())
            .arg(64_i32)
            .arg(0_i32);
    }));
    assert_eq!(
        found,
        LaunchError::ArgCount {
            expected: 4,
            given: 5
        }
    );

    let arg = |result| match problem(result) {
        LaunchError::Arg { index, problem, .. } => (index, problem),
        other => panic!("{other:?}"),
    };
    let found = arg(with(&mut |launch| {
        launch.arg(1.0_f64).arg(x.ptr()).arg(y.ptr()).arg(64_i32);
    }));
    assert_eq!(
        found,
        (
            0,
            ArgProblem::Size {
                expected: 4,
                given: 8
            }
        )
    );
    let found = arg(with(&mut |launch| {
        launch.arg(1.0_f32).arg(7_u64).arg(y.ptr()).arg(64_i32);
    }));
    assert_eq!(found, (1, ArgProblem::PointerExpected));
    let found = arg(with(&mut |launch| {
        launch.arg(1.0_f32).arg(x.ptr()).arg(y.ptr()).arg(y.ptr());
    }));
    assert_eq!(found, (3, ArgProblem::ValueExpected { expected: 4 }));
    assert_eq!(stub.launches(), 1);

    // SAFETY: the stub runs no kernel.
    unsafe {
        stream
            .launch(&saxpy)
            .arg(1.0_f32)
            .arg(&x)
            .arg(&mut y)
            .arg(64_i32)
            .run(config)
    }
    .unwrap();
    assert_eq!(stub.launches(), 2);
}

fn run_with(stream: &Stream, function: &Function, config: LaunchConfig) -> Result<(), Error> {
    let out = stream.alloc_zeros::<i32>(1).unwrap();
    let mut launch = stream.launch(function);
    for _ in function.args() {
        launch.arg(out.ptr());
    }
    // SAFETY: the stub runs no kernel.
    unsafe { launch.run(config) }
}

#[test]
fn shapes_are_checked_against_kernel_and_device() {
    let stub = Stub::new(&[]);
    let (stream, module) = stream_and_module(&stub);
    let bounded = module.function("bounded").unwrap();
    assert_eq!(bounded.metadata().max_flat_workgroup_size, 64);
    let run = |grid, block| run_with(&stream, &bounded, LaunchConfig::new(grid, block));
    run([3, 1, 1], [64, 1, 1]).unwrap();
    run([3, 1, 1], [8, 4, 2]).unwrap();
    assert_eq!(
        problem(run([3, 1, 1], [65, 1, 1])),
        LaunchError::BlockTooLarge {
            block: [65, 1, 1],
            limit: 64
        }
    );
    assert!(matches!(
        problem(run([3, 1, 1], [8, 4, 3])),
        LaunchError::BlockTooLarge { .. }
    ));
    assert!(matches!(
        problem(run([0, 1, 1], [64, 1, 1])),
        LaunchError::Grid { .. }
    ));
    assert!(matches!(
        problem(run([1, 1, 1], [64, 0, 1])),
        LaunchError::Grid { .. }
    ));
    assert!(matches!(
        problem(run([1 << 26, 1, 1], [64, 1, 1])),
        LaunchError::Grid { .. }
    ));
    run([(1 << 26) - 1, 1, 1], [64, 1, 1]).unwrap();
    assert!(matches!(
        problem(run([1, 65_537, 1], [64, 1, 1])),
        LaunchError::GridTooLarge { .. }
    ));
    let overflowing = [u32::MAX, u32::MAX, u32::MAX];
    assert!(matches!(
        problem(run([1, 1, 1], overflowing)),
        LaunchError::BlockTooLarge { .. }
    ));

    let sum = module.function("block_sum").unwrap();
    let dynamic = |bytes| {
        let shape = LaunchConfig::new([1, 1, 1], [256, 1, 1]);
        run_with(
            &stream,
            &sum,
            LaunchConfig {
                shared_bytes: bytes,
                ..shape
            },
        )
    };
    dynamic(65_536).unwrap();
    assert_eq!(
        problem(dynamic(65_537)),
        LaunchError::SharedMemory {
            dynamic: 65_537,
            fixed: 0,
            limit: 65_536
        }
    );
    assert!(matches!(
        problem(dynamic(u32::MAX)),
        LaunchError::SharedMemory { .. }
    ));
    let wide = LaunchConfig::new([1, 1, 1], [1025, 1, 1]);
    let error = run_with(&stream, &sum, wide).unwrap_err().to_string();
    assert_eq!(
        error,
        "kernel `block_sum`: a block of 1025x1x1 is 1025 work-items, it was compiled for 1024 at most"
    );
}

#[test]
fn an_unknown_kernel_is_answered_with_the_nearest_names() {
    let stub = Stub::new(&[]);
    let (_, module) = stream_and_module(&stub);
    let error = module.function("saxpi").unwrap_err();
    let Error::Module(ModuleError::UnknownKernel { nearest, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!(nearest, &["saxpy"]);
    assert!(
        error
            .to_string()
            .ends_with("has no kernel `saxpi`; did you mean `saxpy`?"),
        "{error}"
    );
    assert!(matches!(
        module.global("coun\0ter").unwrap_err(),
        Error::Module(ModuleError::Name { .. })
    ));
}

#[test]
fn a_bundle_without_the_architecture_lists_what_it_has() {
    let stub = Stub::new(&["-DSTUB_ARCH=\"gfx1036\""]);
    let device = stub.runtime().device(0).unwrap();
    let error = Module::load(&device, &kernels()).unwrap_err().to_string();
    assert!(
        error.ends_with(
            "no code object for gfx1036 in the bundle, which has gfx1030, gfx1100, gfx1201, gfx90a"
        ),
        "{error}"
    );
    assert!(error.contains("kernels.hipfb"), "{error}");
}

#[test]
fn a_bare_code_object_loads_where_it_fits_and_says_where_it_does_not() {
    let stub = Stub::new(&[]);
    let (_, module) = stream_and_module(&stub);
    assert_eq!(module.target().to_string(), "gfx1100");
    let code = hip_loader::Image::from_bytes("alone", module.code_object());
    assert!(Module::load(module.device(), &code).is_ok());
    let other = Stub::new(&["-DSTUB_ARCH=\"gfx1030\""]);
    let device = other.runtime().device(0).unwrap();
    let error = Module::load(&device, &code).unwrap_err().to_string();
    assert_eq!(error, "alone is for gfx1100, the device is gfx1030");
}

#[test]
fn bytes_that_are_no_code_object_are_refused() {
    let stub = Stub::new(&[]);
    let device = stub.runtime().device(0).unwrap();
    let whole = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/kernels.hipfb"
    ))
    .unwrap();
    let mut cut = 0;
    while cut < whole.len() {
        let image = hip_loader::Image::from_bytes("cut", &whole[..cut]);
        // The code object for gfx1100 is not the last one, so a cut behind it may load.
        if let Err(error) = Module::load(&device, &image) {
            assert!(
                matches!(error, Error::Module(ModuleError::Image { .. })),
                "{error}"
            );
        }
        cut += 1 + cut / 16;
    }
    let missing = hip_loader::Image::open("/nowhere/kernels.hipfb").unwrap_err();
    assert!(
        missing.to_string().starts_with("/nowhere/kernels.hipfb: "),
        "{missing}"
    );
}

#[test]
fn every_size_of_value_and_many_arguments_are_taken() {
    let stub = Stub::new(&[]);
    let (stream, module) = stream_and_module(&stub);
    let out = stream.alloc_zeros::<i64>(8).unwrap();
    let one = LaunchConfig::new([1; 3], [1; 3]);
    let values = module.function("values").unwrap();
    // SAFETY: the stub runs no kernel.
    unsafe {
        stream
            .launch(&values)
            .arg(&out)
            .arg(-1_i8)
            .arg(-2_i16)
            .arg(-3_i32)
            .arg(-4_i64)
            .arg(5.0_f32)
            .arg(6.0_f64)
            .arg([7_u64, 8 << 48])
            .run(one)
    }
    .unwrap();
    let many = module.function("many").unwrap();
    let mut launch = stream.launch(&many);
    launch.arg(&out);
    for value in 0..40_i64 {
        launch.arg(value);
    }
    // SAFETY: the stub runs no kernel.
    unsafe { launch.run(one) }.unwrap();
}
