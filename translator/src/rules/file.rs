//! What stands in `config/rules/*.toml` and `config/guards.toml`, as written. `config/README.md` documents it.
//!
//! Unknown keys are errors everywhere: a misspelt key would otherwise be a rule that silently does nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

/// A version of HIP as rules bound it: major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HipVersion {
    /// Major number.
    pub major: u16,
    /// Minor number.
    pub minor: u16,
}

impl std::str::FromStr for HipVersion {
    type Err = String;

    /// Reads `6`, `6.4` or `6.4.3` (the patch number has never decided whether a name exists).
    fn from_str(text: &str) -> Result<Self, String> {
        let mut numbers = text.split('.').map(str::parse::<u16>);
        let bad = || format!("`{text}` is not a HIP version such as 6.4");
        let major = numbers.next().and_then(Result::ok).ok_or_else(bad)?;
        let minor = numbers.next().unwrap_or(Ok(0)).map_err(|_| bad())?;
        if numbers.any(|n| n.is_err()) {
            return Err(bad());
        }
        Ok(HipVersion { major, minor })
    }
}

impl fmt::Display for HipVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl<'de> Deserialize<'de> for HipVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// One `config/rules/*.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RuleFile {
    pub prelude: Option<Prelude>,
    pub hip: Option<HipBounds>,
    pub header: BTreeMap<String, HeaderSpec>,
    #[serde(rename = "type")]
    pub types: BTreeMap<String, NameSpecs>,
    pub function: BTreeMap<String, NameSpecs>,
    pub intrinsic: BTreeMap<String, NameSpecs>,
    pub constant: BTreeMap<String, NameSpecs>,
    #[serde(rename = "macro")]
    pub macros: BTreeMap<String, NameSpecs>,
    pub member: BTreeMap<String, NameSpecs>,
    pub namespace: BTreeMap<String, NamespaceSpec>,
    pub unsupported: BTreeMap<String, Unsupported>,
    pub keep: Vec<Keep>,
    pub asm: Vec<AsmSpec>,
    pub names: Option<Names>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prelude {
    pub include: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HipBounds {
    pub oldest: HipVersion,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HeaderSpec {
    pub to: Option<String>,
    pub keep: bool,
    pub drop: bool,
    pub reason: Option<String>,
    pub help: Option<String>,
    #[serde(rename = "note")]
    pub _note: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NameSpec {
    pub to: Option<String>,
    pub call: Option<String>,
    pub since: Option<HipVersion>,
    pub until: Option<HipVersion>,
    pub note: Option<String>,
}

/// `"hipMalloc"`, `{ to = "hipMalloc", since = "5.2" }`, or a list of such tables with ranges that don't overlap.
#[derive(Debug)]
pub(super) struct NameSpecs(pub Vec<NameSpec>);

impl<'de> Deserialize<'de> for NameSpecs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = NameSpecs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a HIP name, a table with `to` or `call`, or a list of such tables")
            }

            fn visit_str<E: de::Error>(self, to: &str) -> Result<NameSpecs, E> {
                Ok(NameSpecs(vec![NameSpec {
                    to: Some(to.to_owned()),
                    ..NameSpec::default()
                }]))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NameSpecs, A::Error> {
                let spec = NameSpec::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(NameSpecs(vec![spec]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<NameSpecs, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(NameSpecs)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NamespaceSpec {
    pub to: Option<String>,
    pub reason: Option<String>,
    pub help: Option<String>,
    pub members: Vec<String>,
    #[serde(rename = "note")]
    pub _note: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unsupported {
    pub reason: String,
    pub help: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keep {
    pub note: String,
    pub names: Vec<String>,
    pub since: Option<HipVersion>,
    pub until: Option<HipVersion>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AsmSpec {
    pub ptx: String,
    pub to: Option<String>,
    #[serde(default)]
    pub keep: bool,
    pub reason: Option<String>,
    pub help: Option<String>,
    #[serde(rename = "note")]
    pub _note: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Names {
    pub cuda: Vec<String>,
    pub headers: Vec<String>,
    pub reserved: Vec<String>,
}

/// `config/guards.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GuardFile {
    pub guard: Vec<GuardSpec>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GuardSpec {
    pub subject: String,
    pub op: Option<String>,
    pub value: Option<i64>,
    pub file: Option<String>,
    pub ask: String,
    pub feature: Option<String>,
    pub always: Option<bool>,
    pub note: Option<String>,
}
