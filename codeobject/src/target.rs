//! Target ids: `gfx90a:sramecc+:xnack-`.
//!
//! A target id names a processor and pins the features that its code was built for. The rules are those of the AMDGPU
//! usage guide, "Target ID": a feature that is not named is `Any` in a code object, and code with `Any` runs on devices
//! with the feature on as well as off. This module knows nothing of bundles or files.

use std::fmt;
use std::str::FromStr;

use crate::Error;
use crate::processor::{self, Family, Processor};

/// The setting of a target feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Feature {
    /// Not named in the target id: the code runs with either setting, or the processor does not have the feature.
    #[default]
    Any,
    /// `+`: the code needs the feature switched on.
    On,
    /// `-`: the code needs the feature switched off.
    Off,
}

/// A processor with the features that code was built for, or that a device runs with.
///
/// ```
/// use codeobject::TargetId;
/// let code: TargetId = "gfx90a:xnack-".parse()?;
/// let device: TargetId = "gfx90a:sramecc+:xnack-".parse()?;
/// assert!(code.supports(&device));
/// assert!(!device.supports(&"gfx90a:sramecc+:xnack+".parse()?));
/// # Ok::<(), codeobject::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId {
    /// The processor's name, such as `gfx1100` or `gfx11-generic`.
    pub processor: String,
    /// Error correction of the on-chip memories.
    pub sramecc: Feature,
    /// Replay of memory accesses after a page fault.
    pub xnack: Feature,
}

impl TargetId {
    /// The target id of a processor with no feature pinned.
    pub fn new(processor: impl Into<String>) -> Self {
        Self {
            processor: processor.into(),
            sramecc: Feature::Any,
            xnack: Feature::Any,
        }
    }

    /// Whether a code object built for `self` can be loaded on `device`.
    ///
    /// The processors have to be equal, or `self` is a generic target that covers the device's. Each feature that the
    /// code object pins has to have that setting on the device.
    pub fn supports(&self, device: &TargetId) -> bool {
        let processor = self.processor == device.processor
            || (!self.processor.is_empty() && device.generic() == Some(self.processor.as_str()));
        let feature = |code: Feature, device: Feature| code == Feature::Any || code == device;
        processor && feature(self.sramecc, device.sramecc) && feature(self.xnack, device.xnack)
    }

    /// How closely code for this target fits a device that it [supports](Self::supports): of two code objects the one
    /// with the higher number is the better choice. Code for the processor itself beats code for a generic target,
    /// then every pinned feature counts, because pinned code need not be careful for the other setting.
    pub fn specificity(&self) -> u32 {
        let pinned = |feature: Feature| u32::from(feature != Feature::Any);
        4 * u32::from(!self.is_generic()) + pinned(self.sramecc) + pinned(self.xnack)
    }

    /// Whether this is a generic target such as `gfx10-3-generic`.
    pub fn is_generic(&self) -> bool {
        self.processor.ends_with("-generic")
    }

    /// The generic target that covers this processor, `None` if there is none or the processor is not known.
    pub fn generic(&self) -> Option<&'static str> {
        self.known()?.generic
    }

    /// The facts of this processor, `None` if it is not known.
    pub fn known(&self) -> Option<&'static Processor> {
        processor::by_name(&self.processor)
    }

    /// The instruction set family, `None` if the processor is not known.
    pub fn family(&self) -> Option<Family> {
        Some(self.known()?.family)
    }

    /// The wavefront sizes that the processor executes, the compiler's default first; empty if it is not known.
    pub fn wavefront_sizes(&self) -> &'static [u32] {
        self.family().map_or(&[], Family::wavefront_sizes)
    }

    /// Decodes `e_flags` of an ELF header whose ABI version byte is `abi_version`.
    ///
    /// # Errors
    /// [`Error::Field`] for a machine number or an ABI version that is not known.
    pub fn from_elf_flags(e_flags: u32, abi_version: u8) -> Result<Self, Error> {
        let mach = e_flags & 0xff;
        let processor = processor::by_mach(mach).ok_or_else(|| Error::Field {
            what: "EF_AMDGPU_MACH in the ELF flags",
            found: format!("{mach:#04x}"),
            expected: "the number of a known AMDGPU processor",
        })?;
        let flag = |on: bool, supported: bool| match (supported, on) {
            (false, _) => Feature::Any,
            (true, true) => Feature::On,
            (true, false) => Feature::Off,
        };
        // Unsupported, any, off, on.
        let field = |value: u32| {
            [Feature::Any, Feature::Any, Feature::Off, Feature::On][(value & 3) as usize]
        };
        let (sramecc, xnack) = match abi_version {
            ABI_V3 => (
                flag(e_flags & 0x200 != 0, processor.sramecc),
                flag(e_flags & 0x100 != 0, processor.xnack),
            ),
            ABI_V4..=ABI_V6 => (field(e_flags >> 10), field(e_flags >> 8)),
            _ => return Err(unknown_abi(abi_version)),
        };
        Ok(Self {
            processor: processor.name.to_owned(),
            sramecc,
            xnack,
        })
    }

    /// Encodes `e_flags` for an ELF header whose ABI version byte is `abi_version`. The inverse of
    /// [`from_elf_flags`](Self::from_elf_flags); the version of a generic target (code object version 6) is written as 1.
    ///
    /// # Errors
    /// [`Error::TargetId`] if the processor is not known, or pins a feature that it does not have;
    /// [`Error::Field`] for an ABI version that is not known.
    pub fn to_elf_flags(&self, abi_version: u8) -> Result<u32, Error> {
        let refuse = |message: &str| Error::TargetId {
            text: self.to_string(),
            message: message.to_owned(),
        };
        let processor = self
            .known()
            .ok_or_else(|| refuse("its machine number is not known"))?;
        let field = |feature: Feature, supported: bool| match (supported, feature) {
            (false, Feature::Any) => Ok(0),
            (false, _) => Err(refuse("the processor does not have this feature")),
            (true, Feature::Any) => Ok(1),
            (true, Feature::Off) => Ok(2),
            (true, Feature::On) => Ok(3),
        };
        let sramecc: u32 = field(self.sramecc, processor.sramecc)?;
        let xnack: u32 = field(self.xnack, processor.xnack)?;
        match abi_version {
            ABI_V3 => {
                let on = |value: u32| u32::from(value == 3);
                Ok(processor.mach | on(xnack) << 8 | on(sramecc) << 9)
            }
            ABI_V4..=ABI_V6 => {
                let version = u32::from(abi_version == ABI_V6 && processor.is_generic());
                Ok(processor.mach | xnack << 8 | sramecc << 10 | version << 24)
            }
            _ => Err(unknown_abi(abi_version)),
        }
    }
}

/// `EI_ABIVERSION` of code object version 3.
pub(crate) const ABI_V3: u8 = 1;
/// `EI_ABIVERSION` of code object version 4.
const ABI_V4: u8 = 2;
/// `EI_ABIVERSION` of code object version 6.
pub(crate) const ABI_V6: u8 = 4;

fn unknown_abi(abi_version: u8) -> Error {
    Error::Field {
        what: "the ABI version in the ELF header",
        found: abi_version.to_string(),
        expected: "1 to 4 (code object version 3 to 6)",
    }
}

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.processor)?;
        for (name, feature) in [("sramecc", self.sramecc), ("xnack", self.xnack)] {
            match feature {
                Feature::Any => {}
                Feature::On => write!(f, ":{name}+")?,
                Feature::Off => write!(f, ":{name}-")?,
            }
        }
        Ok(())
    }
}

impl FromStr for TargetId {
    type Err = Error;

    /// Accepts features in any order. A feature that a known processor does not have is refused, as clang does;
    /// processors that are not known here may have any.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refuse = |message: String| Error::TargetId {
            text: text.to_owned(),
            message,
        };
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let plausible = name.strip_prefix("gfx").is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_digit())
                && rest
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'-')
        });
        if !plausible {
            return Err(refuse(
                "a processor such as gfx1100 or gfx11-generic is expected".to_owned(),
            ));
        }
        let mut target = Self::new(name);
        for part in parts {
            let (feature, setting) = match part.as_bytes().last() {
                Some(b'+') => (&part[..part.len() - 1], Feature::On),
                Some(b'-') => (&part[..part.len() - 1], Feature::Off),
                _ => return Err(refuse(format!("feature `{part}` must end in + or -"))),
            };
            let (field, supported) = match feature {
                "sramecc" => (
                    &mut target.sramecc,
                    processor::by_name(name).is_none_or(|p| p.sramecc),
                ),
                "xnack" => (
                    &mut target.xnack,
                    processor::by_name(name).is_none_or(|p| p.xnack),
                ),
                _ => {
                    return Err(refuse(format!(
                        "feature `{feature}` is neither sramecc nor xnack"
                    )));
                }
            };
            if !supported {
                return Err(refuse(format!(
                    "{name} does not have the feature {feature}"
                )));
            }
            if *field != Feature::Any {
                return Err(refuse(format!("feature {feature} is given twice")));
            }
            *field = setting;
        }
        Ok(target)
    }
}

impl serde::Serialize for TargetId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for TargetId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> TargetId {
        text.parse().unwrap()
    }

    #[test]
    fn text_round_trips_in_canonical_order() {
        for text in [
            "gfx1100",
            "gfx90a:sramecc+:xnack-",
            "gfx906:xnack+",
            "gfx9-4-generic:sramecc-",
            "gfx9999:xnack+",
        ] {
            assert_eq!(id(text).to_string(), text);
        }
        assert_eq!(
            id("gfx90a:xnack-:sramecc+").to_string(),
            "gfx90a:sramecc+:xnack-"
        );
    }

    #[test]
    fn malformed_ids_are_refused_with_the_reason() {
        for (text, reason) in [
            ("", "processor"),
            ("sm_80", "processor"),
            ("gfx", "processor"),
            ("gfx90a:", "must end in"),
            ("gfx90a:xnack", "must end in"),
            ("gfx90a:wgp+", "neither"),
            ("gfx90a:xnack+:xnack+", "twice"),
            ("gfx1100:xnack+", "does not have"),
            ("gfx900:sramecc+", "does not have"),
            ("gfx90a:+", "neither"),
            ("gfx90ä", "processor"),
        ] {
            let error = text.parse::<TargetId>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn features_of_the_code_object_must_match_the_device() {
        let device = id("gfx90a:sramecc+:xnack-");
        for code in [
            "gfx90a",
            "gfx90a:sramecc+",
            "gfx90a:xnack-",
            "gfx90a:sramecc+:xnack-",
        ] {
            assert!(id(code).supports(&device), "{code}");
        }
        for code in [
            "gfx90a:sramecc-",
            "gfx90a:xnack+",
            "gfx90a:sramecc+:xnack+",
            "gfx908",
            "gfx90c",
            "gfx9-generic",
        ] {
            assert!(!id(code).supports(&device), "{code}");
        }
        assert!(!id("gfx90a:xnack+").supports(&id("gfx90a")));
    }

    #[test]
    fn generic_targets_cover_their_members_alone() {
        for (generic, members, others) in [
            (
                "gfx9-generic",
                &["gfx900", "gfx906:sramecc+:xnack-", "gfx90c"][..],
                &["gfx908", "gfx90a", "gfx942"][..],
            ),
            (
                "gfx9-4-generic",
                &["gfx940", "gfx942", "gfx950"],
                &["gfx90a", "gfx900"],
            ),
            ("gfx10-1-generic", &["gfx1010", "gfx1013"], &["gfx1030"]),
            (
                "gfx10-3-generic",
                &["gfx1030", "gfx1036"],
                &["gfx1012", "gfx1100"],
            ),
            (
                "gfx11-generic",
                &["gfx1100", "gfx1103", "gfx1150", "gfx1153"],
                &["gfx1200"],
            ),
            (
                "gfx12-generic",
                &["gfx1200", "gfx1201"],
                &["gfx1250", "gfx1151"],
            ),
        ] {
            for member in members {
                assert!(id(generic).supports(&id(member)), "{generic} {member}");
                assert!(id(generic).specificity() < id(member).specificity());
                assert!(!id(member).supports(&id(generic)), "{member} {generic}");
            }
            for other in others {
                assert!(!id(generic).supports(&id(other)), "{generic} {other}");
            }
        }
    }

    #[test]
    fn elf_flags_round_trip_for_every_processor_feature_and_version() {
        for processor in processor::PROCESSORS {
            for sramecc in [Feature::Any, Feature::On, Feature::Off] {
                for xnack in [Feature::Any, Feature::On, Feature::Off] {
                    let target = TargetId {
                        processor: processor.name.to_owned(),
                        sramecc,
                        xnack,
                    };
                    let allowed = (processor.sramecc || sramecc == Feature::Any)
                        && (processor.xnack || xnack == Feature::Any);
                    for abi in ABI_V4..=ABI_V6 {
                        match target.to_elf_flags(abi) {
                            Ok(flags) => {
                                assert!(allowed);
                                assert_eq!(
                                    TargetId::from_elf_flags(flags, abi),
                                    Ok(target.clone())
                                );
                            }
                            Err(error) => assert!(!allowed, "{target}: {error}"),
                        }
                    }
                }
            }
        }
    }
}
