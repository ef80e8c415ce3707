//! candle's CUDA kernels as AMD GPU code objects, embedded: what `candle-kernels` is for CUDA.
//!
//! A feature a module, a constant a module: with the feature `quantized` there is [`QUANTIZED`](Id::Quantized), whose
//! [`bundle`](Module::bundle) holds a code object for each architecture. The feature `all` is all of them; none is on by
//! default.
//!
//! ```toml
//! [dependencies]
//! candle-hip-kernels = { path = "...", features = ["quantized", "affine"] }
//! ```
//!
//! Two environment variables are read when the crate is built:
//!
//! | variable | what it says |
//! |---|---|
//! | `CANDLE_HIP_ARCHS` | the architectures: `gfx1100,gfx90a`, families (`rdna3`), `common`, `all` [default: `common`] |
//! | `CANDLE_HIP_BUNDLES` | a folder of bundles that were built before, by `hipify-candle build --out DIR` or for a release: nothing is compiled, and no ROCm is needed |
//!
//! Without that folder the kernels are fetched, translated and compiled by the ROCm that is found, through the cache that
//! `hipify-candle` has; see `hipify_candle::KernelBuilder`, which builds kernels of your own in the same way.
//!
//! A bundle is given to a device by any loader of offload bundles: `hip_loader::Image::from_static("quantized",
//! QUANTIZED.bundle())`, or `hipModuleLoadData`.
//!
//! This crate knows bytes and names. How a kernel is launched is the loader's to know.

#[cfg(feature = "build")]
mod kernels {
    include!(concat!(env!("OUT_DIR"), "/kernels.rs"));
}

macro_rules! modules {
    ($($id:ident $constant:ident $feature:literal)*) => {
        /// The modules that candle loads by name, in the order of `candle_kernels::Id`.
        #[repr(u32)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Id {
            $(#[doc = concat!("`", $feature, ".cu`")] $id,)*
        }

        /// Every module, whether its feature is on or not.
        pub const ALL_IDS: [Id; [$(Id::$id),*].len()] = [$(Id::$id),*];

        impl Id {
            /// The module's name: `quantized`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Id::$id => $feature,)*
                }
            }

            /// The module, if its feature is on.
            #[must_use]
            pub const fn module(self) -> Option<Module> {
                match self {
                    $(
                        #[cfg(feature = $feature)]
                        Id::$id => Some($constant),
                        #[cfg(not(feature = $feature))]
                        Id::$id => None,
                    )*
                }
            }
        }

        $(
            #[doc = concat!("The kernels of `", $feature, ".cu`.")]
            #[cfg(feature = $feature)]
            pub const $constant: Module = Module { id: Id::$id, bundle: kernels::$constant };
        )*
    };
}

modules! {
    Affine AFFINE "affine"
    Binary BINARY "binary"
    Cast CAST "cast"
    Conv CONV "conv"
    Fill FILL "fill"
    Indexing INDEXING "indexing"
    Quantized QUANTIZED "quantized"
    Reduce REDUCE "reduce"
    Sort SORT "sort"
    Ternary TERNARY "ternary"
    Unary UNARY "unary"
}

/// The kernels of one module, for every architecture that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Module {
    id: Id,
    bundle: &'static [u8],
}

impl Module {
    /// Which module.
    #[must_use]
    pub const fn id(&self) -> Id {
        self.id
    }

    /// Its place in [`ALL_IDS`].
    #[must_use]
    pub const fn index(&self) -> usize {
        self.id as usize
    }

    /// Its offload bundle, which begins at a page.
    #[must_use]
    pub const fn bundle(&self) -> &'static [u8] {
        self.bundle
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hipify_candle::modules::{Modules, select};

    use super::ALL_IDS;

    #[test]
    fn ids_are_the_modules_that_candle_loads() {
        for (index, id) in ALL_IDS.into_iter().enumerate() {
            assert_eq!(id as usize, index);
        }
        let modules = Modules::load().unwrap();
        let listed = select(modules.all(), &["ptx".to_owned()]).unwrap();
        let listed: BTreeSet<&str> = listed.iter().map(|module| module.name.as_str()).collect();
        let known: BTreeSet<&str> = ALL_IDS.iter().map(|id| id.name()).collect();
        assert_eq!(known, listed);
    }
}
