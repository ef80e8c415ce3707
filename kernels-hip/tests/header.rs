//! The device header against CUDA: its functions compiled for the host and compared, value by value, with what a real
//! GPU returned (`tests/data/intrinsics`) and with the functions' definitions; and its compilation for every kind of
//! target. Knows names and values, not kernels.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use hipify_candle::arch::Architectures;
use hipify_candle::config::Config;
use hipify_candle::rules::{Action, Rules};
use hipify_candle::toolchain::Toolchain;
use serde_json::Value;

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a program, with its output in the error if it fails.
fn run(command: &mut Command) -> Result<Output> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(output);
    }
    Err(format!(
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
    .into())
}

/// Compiles a C++ file for the host with the toolchain's clang.
fn host_program(source: &Path, folder: &Path) -> Result<PathBuf> {
    let program = folder.join("program");
    run(Command::new(&Toolchain::find()?.clang)
        .args([
            "--driver-mode=g++",
            "-std=c++17",
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-I",
        ])
        .arg(here().join("include"))
        .arg(source)
        .arg("-o")
        .arg(&program))?;
    Ok(program)
}

/// Compiles a HIP file for one architecture; only `-O1`, because only the front end's and the instruction selection's
/// objections count here.
fn device_object(source: &Path, arch: &str, macros: &[String], object: &Path) -> Result {
    compile(&Toolchain::find()?, None, source, arch, macros, object)
}

/// As [`device_object`]; `hip` is an installation whose HIP headers are taken instead of the toolchain's.
fn compile(
    toolchain: &Toolchain,
    hip: Option<&Path>,
    source: &Path,
    arch: &str,
    macros: &[String],
    object: &Path,
) -> Result {
    run(Command::new(&toolchain.hipcc)
        .envs(toolchain.environment())
        .envs(hip.map(|path| ("HIP_PATH", path)))
        .args([
            "--cuda-device-only",
            "--no-gpu-bundle-output",
            "-std=c++17",
            "-O1",
            "-x",
            "hip",
        ])
        .arg(format!("--offload-arch={arch}"))
        .args(["-Wall", "-Wextra", "-Werror"])
        .args(macros.iter().map(|m| format!("-D{m}")))
        .arg("-I")
        .arg(here().join("include"))
        .arg("-I")
        .arg(here().join("tests/header"))
        .arg("-c")
        .arg(source)
        .arg("-o")
        .arg(object))?;
    Ok(())
}

fn words(hex: &str) -> Result<Vec<u32>> {
    let mut words = Vec::new();
    for chunk in hex.as_bytes().chunks(8) {
        words.push(u32::from_str_radix(std::str::from_utf8(chunk)?, 16)?);
    }
    Ok(words)
}

/// What a result's bits are, which decides what equal means: any NaN is as good as another.
#[derive(Clone, Copy)]
enum Form {
    Integer,
    Half,
    Bfloat16,
    Float,
    E5m2,
}

impl Form {
    fn of(function: &str) -> Self {
        let is_to_half = |name: &str| function.contains(&format!("2{name}_"));
        if function.ends_with(".bf16") || is_to_half("bfloat16") {
            Form::Bfloat16
        } else if function.ends_with(".f16") || is_to_half("half") {
            Form::Half
        } else if function.contains("to_fp8.e5m2") {
            Form::E5m2
        } else if function.contains("2float") || function.contains("_to_float") {
            Form::Float
        } else {
            Form::Integer
        }
    }

    fn is_nan(self, bits: u32) -> bool {
        match self {
            Form::Integer => false,
            Form::Half => bits & 0x7fff > 0x7c00,
            Form::Bfloat16 => bits & 0x7fff > 0x7f80,
            Form::Float => f32::from_bits(bits).is_nan(),
            Form::E5m2 => bits & 0x7f > 0x7c,
        }
    }
}

/// How many steps of the last place a function of 16-bit floats may be off: CUDA approximates these.
fn steps_allowed(function: &str) -> u32 {
    let approximated = ["hexp", "hlog", "hsin", "hcos", "hrsqrt", "hrcp"];
    u32::from(approximated.iter().any(|name| function.starts_with(name)))
}

#[test]
fn functions_return_what_they_return_on_a_gpu() -> Result {
    let recorded = std::fs::read_to_string(here().join("../tests/data/intrinsics/cuda.jsonl"))?;
    let mut inputs = BTreeMap::new();
    let mut functions = BTreeMap::new();
    for line in recorded.lines() {
        let line: Value = serde_json::from_str(line)?;
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        if line["input"].is_string() {
            inputs.insert(text("input"), words(&text("values"))?);
        } else {
            functions.insert(text("name"), words(&text("out"))?);
        }
    }
    let count = inputs["A"].len();
    let folder = tempfile::tempdir()?;
    let program = host_program(&here().join("tests/header/host.cpp"), folder.path())?;
    let mut child = Command::new(program)
        .arg(count.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let operands: Vec<u8> = ["A", "B", "C", "F", "G"]
        .iter()
        .flat_map(|name| inputs[*name].iter().flat_map(|word| word.to_le_bytes()))
        .collect();
    child
        .stdin
        .take()
        .ok_or("no standard input")?
        .write_all(&operands)?;
    let output = String::from_utf8(child.wait_with_output()?.stdout)?;

    let mut compared = 0;
    let mut wrong = Vec::new();
    for line in output.lines() {
        let mut fields = line.split(' ');
        let function = fields.next().ok_or("an empty line")?;
        // The host has no approximate division; what the device does is compared on the device.
        if function == "__fdividef" {
            continue;
        }
        let expected = functions
            .get(function)
            .ok_or_else(|| format!("{function} was not recorded"))?;
        let form = Form::of(function);
        for (i, (field, expected)) in fields.zip(expected).enumerate() {
            let got = u32::from_str_radix(field, 16)?;
            let is_equal = got.abs_diff(*expected) <= steps_allowed(function)
                || (form.is_nan(got) && form.is_nan(*expected));
            if !is_equal {
                wrong.push(format!(
                    "{function}: {got:#x}, on a GPU {expected:#x}; A {:#x} B {:#x} C {:#x} F {:#x}",
                    inputs["A"][i], inputs["B"][i], inputs["C"][i], inputs["F"][i]
                ));
            }
            compared += 1;
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(compared, 241 * count, "functions compared");
    Ok(())
}

#[test]
fn functions_are_as_they_are_defined() -> Result {
    let folder = tempfile::tempdir()?;
    let program = host_program(&here().join("tests/header/definitions.cpp"), folder.path())?;
    run(&mut Command::new(program))?;
    Ok(())
}

/// Every replacement in `config/rules` that names something of ours names something that is there.
#[test]
fn the_header_has_what_the_rules_promise() -> Result {
    let rules = Rules::load()?;
    let mut names = BTreeSet::new();
    for (_, rule) in rules.name_rules() {
        let (Action::Rename(text) | Action::Call(text)) = &rule.action else {
            continue;
        };
        for part in text.split("hipify::").skip(1) {
            names.insert(
                part.split(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
    }
    assert!(names.len() > 400, "only {} names", names.len());
    let mut source = String::from("#include \"cases.h\"\n#include \"hipify/limits.h\"\n");
    for name in &names {
        source += &format!("namespace has_{name} {{ using hipify::{name}; }}\n");
    }
    source += "namespace has_limits { using hipify::cuda_std::numeric_limits; }\n";
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("names.hip");
    std::fs::write(&file, source)?;
    let architectures = Architectures::from_config(&Config::embedded())?;
    let gfx1100 = architectures.get("gfx1100").ok_or("no gfx1100")?;
    let macros = architectures.macros(gfx1100, rules.guards())?;
    device_object(&file, "gfx1100", &macros, &folder.path().join("names.o"))
}

/// The header's code for each distinct answer of `config/arch.toml` compiles, without warnings, for an architecture
/// that gives it. Instructions that the architecture lacks are errors of the compiler.
#[test]
fn the_header_compiles_for_every_kind_of_target() -> Result {
    let rules = Rules::load()?;
    let architectures = Architectures::from_config(&Config::embedded())?;
    let processors = Toolchain::find()?.processors()?;
    let mut kinds = BTreeMap::new();
    for arch in architectures.all() {
        if processors.obstacle(&arch.name).is_none() && !arch.is_generic() {
            let macros = architectures.macros(arch, rules.guards())?;
            kinds.entry(macros).or_insert(arch.name.clone());
        }
    }
    assert!(kinds.len() >= 7, "{kinds:?}");
    let folder = tempfile::tempdir()?;
    for (macros, arch) in kinds {
        let object = folder.path().join(&arch);
        device_object(
            &here().join("tests/header/device.hip"),
            &arch,
            &macros,
            &object,
        )?;
    }
    Ok(())
}

/// The same header, with the headers of a later HIP; a static assertion sees to it that they are the ones that are read.
#[test]
fn the_header_compiles_with_a_later_hip() -> Result {
    let toolchain = Toolchain::find()?;
    let checkout = here().parent().ok_or("no parent")?.to_owned();
    let hip = checkout.join("target/rocm-6.4-headers");
    if !hip.join("include/hip/hip_version.h").is_file() {
        return Err(format!(
            "no HIP headers at {}; `cargo xtask setup` fetches them",
            hip.display()
        )
        .into());
    }
    let rules = Rules::load()?;
    let architectures = Architectures::from_config(&Config::embedded())?;
    let folder = tempfile::tempdir()?;
    let source = folder.path().join("later.hip");
    std::fs::write(
        &source,
        "#include <hip/hip_version.h>\nstatic_assert(HIP_VERSION_MAJOR >= 6, \"an earlier HIP\");\n#include \"device.hip\"\n",
    )?;
    for name in ["gfx90a", "gfx1030", "gfx1100", "gfx1201"] {
        let arch = architectures.get(name).ok_or("unknown architecture")?;
        let macros = architectures.macros(arch, rules.guards())?;
        compile(
            &toolchain,
            Some(&hip),
            &source,
            name,
            &macros,
            &folder.path().join(name),
        )?;
    }
    Ok(())
}
