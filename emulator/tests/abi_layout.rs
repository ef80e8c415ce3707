//! The C types, error codes and function names against the HIP headers, as a C compiler understands them.

#[allow(
    unused_macros,
    reason = "the macros are for the tests that call functions"
)]
mod abi_support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use abi_support::{library_path, rocm};
use amdhip64::hip::status::Code;
use amdhip64::hip::types::{LAYOUTS, Layout};

/// Headers of one version.
struct Headers {
    include: PathBuf,
    major: u32,
}

/// The headers of the toolchain, and those of HIP 6.4 that the set-up unpacks beside it.
fn all_headers() -> Vec<Headers> {
    let root = rocm();
    let newer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/rocm-6.4-headers");
    let found: Vec<Headers> = [root, newer]
        .iter()
        .filter_map(|root| headers(&root.join("include")))
        .collect();
    let majors: BTreeSet<u32> = found.iter().map(|headers| headers.major).collect();
    assert!(
        majors.len() > 1,
        "HIP headers of versions {majors:?} were found, two are needed; `cargo xtask test` unpacks them"
    );
    found
}

fn headers(include: &Path) -> Option<Headers> {
    let text = std::fs::read_to_string(include.join("hip/hip_version.h")).ok()?;
    let major = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("#define HIP_VERSION_MAJOR"))?;
    Some(Headers {
        include: include.to_owned(),
        major: major.trim().parse().ok()?,
    })
}

/// Compiles and runs a C program that is given the headers, and returns the lines that it prints.
fn run_c(headers: &Headers, name: &str, body: &str) -> Vec<String> {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("layout-{}-{name}", headers.major));
    std::fs::create_dir_all(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let (source, program) = (folder.join("print.c"), folder.join("print"));
    let deprecated = if headers.major >= 6 {
        "#include <hip/hip_deprecated.h>\n"
    } else {
        ""
    };
    let text = format!(
        "#define __HIP_PLATFORM_AMD__ 1\n#include <hip/hip_runtime_api.h>\n#include <hip/hip_ext.h>\n{deprecated}\
         #include <stddef.h>\n#include <stdio.h>\nint main(void) {{\n{body}return 0;\n}}\n"
    );
    // `hip_ext.h` is for C++.
    let text = text.replace("#include <hip/hip_ext.h>\n", "");
    std::fs::write(&source, text).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    let compiled = Command::new("cc")
        .arg("-w")
        .arg("-I")
        .arg(&headers.include)
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .output();
    let compiled = compiled.expect("a C compiler named cc is installed");
    assert!(
        compiled.status.success(),
        "{}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    let printed = Command::new(&program)
        .output()
        .expect("the program was just compiled");
    String::from_utf8_lossy(&printed.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// What the headers call a type; `None` if they do not have it.
fn c_type(layout: &Layout, headers: &Headers) -> Option<&'static str> {
    match (layout.name, headers.major) {
        ("hipDeviceProp_tR0000", 5) => Some("hipDeviceProp_t"),
        ("HIP_MEMCPY3D_R0000", 5) => Some("HIP_MEMCPY3D"),
        ("HIP_MEMCPY3D", 5) | ("HIP_MEMCPY3D_R0000", 6..) => None,
        ("hipDeviceProp_tR0600" | "hipGraphInstantiateParams" | "HIP_MEMSET_NODE_PARAMS", 5) => {
            None
        }
        (name, _) => Some(name),
    }
}

#[test]
fn layouts_are_those_of_the_headers() {
    for headers in all_headers() {
        let mut body = String::new();
        let mut expected = Vec::new();
        for layout in LAYOUTS {
            let Some(name) = c_type(layout, &headers) else {
                continue;
            };
            let _ = writeln!(
                body,
                "printf(\"{name} %zu %zu\\n\", sizeof({name}), _Alignof({name}));"
            );
            expected.push(format!("{name} {} {}", layout.size, layout.align));
            for (field, offset) in layout.fields {
                // What is `maxSize` in 6.4 is where `reserved` begins in 5.7.
                if headers.major == 5
                    && name == "hipMemPoolProps"
                    && ["maxSize", "reserved"].contains(field)
                {
                    continue;
                }
                // Rust's reserved words have an underscore behind them.
                let field = field.trim_end_matches('_');
                let _ = writeln!(
                    body,
                    "printf(\"{name}.{field} %zu\\n\", offsetof({name}, {field}));"
                );
                expected.push(format!("{name}.{field} {offset}"));
            }
        }
        assert!(expected.len() > 150, "{}", expected.len());
        let found = run_c(&headers, "layouts", &body);
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "HIP {}", headers.major);
        }
        assert_eq!(found.len(), expected.len());
    }
}

/// The preprocessed headers without comments and directives.
fn preprocessed(headers: &Headers) -> String {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("layout-{}-text", headers.major));
    std::fs::create_dir_all(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let source = folder.join("headers.c");
    let text = "#define __HIP_PLATFORM_AMD__ 1\n#include <hip/hip_runtime_api.h>\n";
    std::fs::write(&source, text).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    let output = Command::new("cc")
        .args(["-E", "-P", "-I"])
        .arg(&headers.include)
        .arg(&source)
        .output();
    let output = output.expect("a C compiler named cc is installed");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Words of letters, digits and underscores.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

#[test]
fn error_codes_are_those_of_the_headers() {
    let mut seen = BTreeMap::new();
    for headers in all_headers() {
        let text = preprocessed(&headers);
        // Names that stand for the same value as another one.
        let aliases = [
            "hipErrorMemoryAllocation",
            "hipErrorInitializationError",
            "hipErrorMapBufferObjectFailed",
            "hipErrorInvalidResourceHandle",
        ];
        let names: BTreeSet<&str> = words(&text)
            .filter(|word| *word == "hipSuccess" || word.starts_with("hipError"))
            .filter(|word| *word != "hipError_t" && *word != "hipError" && !aliases.contains(word))
            .collect();
        let body: String = names
            .iter()
            .map(|name| format!("printf(\"{name} %d\\n\", (int){name});\n"))
            .collect();
        for line in run_c(&headers, "codes", &body) {
            let (name, value) = line.split_once(' ').expect("a name and a value");
            let code = Code::parse(name).unwrap_or_else(|| panic!("{name} is not known"));
            assert_eq!(code.0.to_string(), value, "{name}");
            assert_eq!(code.to_string(), name);
            seen.insert(name.to_owned(), code);
        }
    }
    assert!(seen.len() > 70);
}

#[test]
fn every_function_of_the_headers_is_exported() {
    // SAFETY: loading the library runs no code of its own.
    let library =
        unsafe { libloading::Library::new(library_path()) }.expect("the library can be loaded");
    for headers in all_headers() {
        let text = preprocessed(&headers);
        // `hipError_t name(`: declarations of functions that return a status.
        let declared: BTreeSet<&str> = text
            .split("hipError_t ")
            .skip(1)
            .filter_map(|rest| rest.split_once('(').map(|(name, _)| name.trim()))
            .filter(|name| words(name).eq([*name]))
            .collect();
        assert!(declared.len() > 300, "{}", declared.len());
        let missing: Vec<&&str> = declared
            .iter()
            .filter(|name| {
                // SAFETY: the symbol is only looked up.
                unsafe { library.get::<unsafe extern "C" fn()>(name.as_bytes()) }.is_err()
            })
            .collect();
        assert!(missing.is_empty(), "HIP {}: {missing:?}", headers.major);
    }
}
