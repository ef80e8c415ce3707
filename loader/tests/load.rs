//! Finding the library: names, order, and what is said when it does not work.

mod support;

use std::ffi::{CStr, OsString};
use std::path::{Path, PathBuf};

use hip_loader::sys::{self, LoadError, Origin, SYMBOLS, UNIX_NAMES, WINDOWS_NAMES};
use hip_loader::{ErrorKind, LaunchConfig, Module, Runtime};
use support::{Stub, compile, compile_stub};

mod emulated {
    include!("support/emulator.rs");
}
use emulated::emulator;

fn searched(variables: &[(&str, &Path)]) -> Vec<(PathBuf, Origin)> {
    let look_up = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| OsString::from(value))
    };
    sys::candidates(look_up)
        .into_iter()
        .map(|found| (found.name, found.origin))
        .collect()
}

#[test]
#[cfg(target_os = "linux")]
fn names_are_tried_newest_first_then_in_the_folders_of_rocm() {
    let all = searched(&[
        ("ROCM_PATH", Path::new("/rocm")),
        ("HIP_PATH", Path::new("/rocm")),
    ]);
    let names: Vec<_> = all.iter().map(|(name, _)| name.to_str().unwrap()).collect();
    assert_eq!(names[..4], *UNIX_NAMES);
    assert_eq!(
        names[4..8],
        UNIX_NAMES
            .iter()
            .map(|name| format!("/rocm/lib/{name}"))
            .collect::<Vec<_>>()
    );
    assert_eq!(names[8], "/opt/rocm/lib/libamdhip64.so.7");
    // HIP_PATH names the same folder as ROCM_PATH, which is not searched twice.
    assert_eq!(names.len(), 12);
    assert_eq!(all[0].1, Origin::System);
    assert_eq!(all[4].1, Origin::RocmPath);
    assert_eq!(all[8].1, Origin::Default);
}

#[test]
fn names_of_windows_carry_the_major_version() {
    assert_eq!(
        WINDOWS_NAMES,
        ["amdhip64_7.dll", "amdhip64_6.dll", "amdhip64.dll"]
    );
}

#[test]
fn a_variable_that_is_set_is_all_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    let rocm = ("ROCM_PATH", Path::new("/rocm"));
    let file = searched(&[("HIP_LOADER_LIB", Path::new("/some/file.so")), rocm]);
    assert_eq!(file, [(PathBuf::from("/some/file.so"), Origin::Variable)]);
    let inside = searched(&[("HIP_LOADER_LIB", folder.path()), rocm]);
    assert_eq!(inside.len(), sys::NAMES.len());
    assert_eq!(inside[0].0, folder.path().join(sys::NAMES[0]));
    // An empty variable is as good as none.
    assert_eq!(
        searched(&[("HIP_LOADER_LIB", Path::new(""))])[0].1,
        Origin::System
    );
}

#[test]
fn a_failed_search_says_every_name_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libamdhip64.so.6");
    std::fs::write(&text, "this is no library").unwrap();
    let candidates = sys::candidates(|name| {
        (name == "HIP_LOADER_LIB").then(|| folder.path().as_os_str().to_owned())
    });
    let error = sys::Library::first_of(candidates).unwrap_err();
    let LoadError::NotFound { tried } = &error else {
        panic!("{error}")
    };
    assert_eq!(tried.len(), 4);
    let message = error.to_string();
    for name in UNIX_NAMES {
        let name = folder.path().join(name);
        assert!(
            message.contains(&format!("{} (from HIP_LOADER_LIB): ", name.display())),
            "{message}"
        );
    }
    assert!(
        message.contains("cannot open shared object file"),
        "{message}"
    );
    assert!(
        message.contains("file too short") || message.contains("invalid ELF header"),
        "{message}"
    );
}

#[test]
fn a_library_without_a_function_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("libamdhip64.so.6");
    compile_stub(&file, &["-DSTUB_WITHOUT_LAUNCH"]);
    let error = Runtime::open(&file).unwrap_err();
    let LoadError::MissingSymbols { library, missing } = &error else {
        panic!("{error}")
    };
    assert_eq!(library, &file);
    assert_eq!(
        missing.iter().map(|symbol| symbol.name).collect::<Vec<_>>(),
        ["hipModuleLaunchKernel"]
    );
    assert_eq!(
        error.to_string(),
        format!(
            "{} lacks the function hipModuleLaunchKernel (HIP 1.6) that the loader needs",
            file.display()
        )
    );

    let empty = folder.path().join("empty.c");
    std::fs::write(&empty, "int nothing;").unwrap();
    let file = folder.path().join("libother.so");
    compile(&empty, &file, &[]);
    let LoadError::MissingSymbols { missing, .. } = Runtime::open(&file).unwrap_err() else {
        panic!()
    };
    let required = SYMBOLS.iter().filter(|symbol| symbol.required).count();
    // All that are required, and one of the two that fill device properties.
    assert_eq!(missing.len(), required + 1);
}

#[test]
fn the_first_library_of_a_folder_is_taken() {
    let stub = Stub::named("libamdhip64.so.5", &["-DSTUB_VERSION=50221153"]);
    compile_stub(
        &stub.folder().join("libamdhip64.so.7"),
        &["-DSTUB_VERSION=70051831"],
    );
    let candidates = sys::candidates(|name| {
        (name == "HIP_LOADER_LIB").then(|| stub.folder().as_os_str().to_owned())
    });
    let library = sys::Library::first_of(candidates).unwrap();
    let runtime = Runtime::from_library(library).unwrap();
    assert_eq!(runtime.library(), stub.folder().join("libamdhip64.so.7"));
    assert_eq!(runtime.version().to_string(), "7.0.51831");
}

#[test]
fn a_library_that_does_not_start_says_so() {
    let stub = Stub::new(&[]);
    stub.fail(1, 3);
    let error = Runtime::open(stub.file()).unwrap_err();
    assert!(matches!(error, LoadError::Start { .. }));
    assert!(
        error
            .to_string()
            .contains("hipRuntimeGetVersion: hipErrorStub (3)"),
        "{error}"
    );
}

#[test]
fn what_a_bare_library_lacks_is_an_error_that_names_the_release() {
    let stub = Stub::new(&["-DSTUB_BARE"]);
    let device = stub.runtime().device(0).unwrap();
    let error = device.uuid().unwrap_err();
    let hip_loader::Error::Hip(error) = error else {
        panic!("{error}")
    };
    assert_eq!(error.kind(), ErrorKind::NotSupported);
    assert_eq!(
        error.to_string(),
        "hipDeviceGetUuid: hipErrorNotSupported (801): the library does not have this function, HIP 5.2 and later do"
    );
    // Memory is allocated plainly where there is no pool.
    assert!(!device.has_pool());
    let stream = device.new_stream().unwrap();
    assert_eq!(
        stream
            .clone_dtoh(&stream.clone_htod(&[1, 2, 3]).unwrap())
            .unwrap(),
        [1, 2, 3]
    );
}

#[test]
fn both_property_layouts_give_the_architecture() {
    for (name, options) in [
        (
            "libamdhip64.so.5",
            &["-DSTUB_ARCH=\"gfx90a:sramecc+:xnack-\""][..],
        ),
        (
            "libamdhip64.so.6",
            &["-DSTUB_ARCH=\"gfx90a:sramecc+:xnack-\"", "-DSTUB_R0600"],
        ),
        (
            "libamdhip64.so.7",
            &["-DSTUB_ARCH=\"gfx90a:sramecc+:xnack-\"", "-DSTUB_R0600"],
        ),
    ] {
        let stub = Stub::named(name, options);
        let device = stub.runtime().device(0).unwrap();
        assert_eq!(device.target().to_string(), "gfx90a:sramecc+:xnack-");
        assert_eq!(device.limits().wavefront_size, 64);
    }
}

#[test]
fn an_architecture_that_cannot_be_read_is_an_error() {
    let stub = Stub::new(&["-DSTUB_ARCH=\"gfx:what\""]);
    let error = stub.runtime().device(0).unwrap_err();
    assert!(
        matches!(error, hip_loader::Error::Architecture { ordinal: 0, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("gfx:what"), "{error}");
}

#[test]
fn a_machine_without_devices_has_none() {
    let stub = Stub::new(&["-DSTUB_DEVICES=0"]);
    let runtime = stub.runtime();
    assert_eq!(runtime.device_count().unwrap(), 0);
    let error = runtime.device(0).unwrap_err();
    assert!(error.to_string().ends_with("offers no device"), "{error}");
}

/// Debian's own library: HIP 5, which reports no device on a machine without one.
#[test]
#[cfg(target_os = "linux")]
fn the_library_of_debian_loads_and_has_what_its_release_has() {
    const NAME: &str = "libamdhip64.so.5";
    let runtime = Runtime::open(NAME).unwrap_or_else(|error| {
        panic!("{error}\n`cargo xtask setup` installs it; the package is libamdhip64-5")
    });
    let version = runtime.version();
    assert_eq!(version.major, 5);
    let api = runtime.api();
    // HIP 5 fills the older layout only.
    assert!(api.hipGetDevicePropertiesR0600.is_none());
    assert!(api.hipGetDeviceProperties.is_some());

    // SAFETY: the library is loaded already.
    let library = unsafe { libloading::Library::new(NAME) }.unwrap();
    let number = |part: &str| part.parse::<u32>().unwrap();
    for symbol in SYMBOLS {
        // SAFETY: the address is looked at, not called.
        let is_there = unsafe { library.get::<unsafe extern "C" fn()>(symbol.name) }.is_ok();
        let (major, minor) = symbol.since.split_once('.').unwrap();
        let expected = (number(major), number(minor)) <= (version.major, version.minor);
        assert_eq!(is_there, expected, "{} since {}", symbol.name, symbol.since);
        assert!(is_there || !symbol.required, "{}", symbol.name);
    }

    let count = runtime.device_count().unwrap();
    let error = runtime.device(count).unwrap_err();
    assert!(
        matches!(error, hip_loader::Error::NoSuchDevice { .. }),
        "{error}"
    );
}

/// The emulator says that it is the release whose name it has.
#[test]
#[cfg(target_os = "linux")]
fn the_emulator_works_under_the_name_of_every_release() {
    let folder = tempfile::tempdir().unwrap();
    for major in [5, 6, 7] {
        let file = folder.path().join(format!("libamdhip64.so.{major}"));
        // A link would be the same library to the system's loader.
        std::fs::copy(emulator(), &file).unwrap();
        let candidates =
            sys::candidates(|name| (name == "HIP_LOADER_LIB").then(|| file.clone().into()));
        let library = sys::Library::first_of(candidates).unwrap();
        let runtime = Runtime::from_library(library).unwrap();
        assert_eq!(runtime.version().major, major);

        let device = runtime.device(0).unwrap();
        let target = device.target().to_string();
        let api = runtime.api();
        for (has_new_layout, size) in [(false, 792), (true, 1472)] {
            // Room behind the structure, as a library of a later release may fill more.
            let mut room = vec![0_u64; 1024];
            // SAFETY: the room is larger than both structures, and aligned for them.
            let (status, name) = unsafe {
                if has_new_layout {
                    let fill = api.hipGetDevicePropertiesR0600.unwrap();
                    let status = fill(room.as_mut_ptr().cast(), 0);
                    let properties = &*room.as_ptr().cast::<sys::hipDeviceProp_tR0600>();
                    (status, CStr::from_ptr(properties.gcnArchName.as_ptr()))
                } else {
                    let fill = api.hipGetDeviceProperties.unwrap();
                    let status = fill(room.as_mut_ptr().cast(), 0);
                    let properties = &*room.as_ptr().cast::<sys::hipDeviceProp_tR0000>();
                    (status, CStr::from_ptr(properties.gcnArchName.as_ptr()))
                }
            };
            assert_eq!(status, sys::hipSuccess);
            assert_eq!(name.to_str().unwrap(), target);
            assert!(
                room[size / 8..].iter().all(|&word| word == 0),
                "{size} bytes"
            );
        }

        let module = Module::load(&device, &support::kernels()).unwrap();
        let stream = device.new_stream().unwrap();
        let saxpy = module.function("saxpy").unwrap();
        let x = stream.clone_htod(&[1.0_f32; 100]).unwrap();
        let mut y = stream.clone_htod(&[2.0_f32; 100]).unwrap();
        let config = LaunchConfig::for_elements(100, 64);
        let mut launch = stream.launch(&saxpy);
        launch.arg(3.0_f32).arg(&x).arg(&mut y).arg(100_i32);
        // SAFETY: `saxpy` reads and writes as many elements as its last argument says.
        unsafe { launch.run(config) }.unwrap();
        assert_eq!(stream.clone_dtoh(&y).unwrap(), [5.0; 100], "HIP {major}");
    }
}
