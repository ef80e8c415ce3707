//! Recorded outputs of the CUDA kernels: one safetensors file a block type, as `tests/data/golden/README.md` lists them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use safetensors::{Dtype, SafeTensors};

use crate::element::{Array, DType};

/// A golden file that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// No such folder, or it can't be listed.
    #[error("golden vectors: can't open the folder {path}: {source}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder without the file of any block type.
    #[error(
        "golden vectors: {path} holds no .safetensors file; expected one for each block type, such as q4_0.safetensors"
    )]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// The file of one type is missing or unreadable.
    #[error("golden vectors: can't read {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what its name says.
    #[error("golden vectors: {path}: {reason}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A tensor of a golden file.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Array,
}

type File = Rc<HashMap<String, Tensor>>;

/// A folder of golden files, read as they are needed.
pub(crate) struct Golden {
    folder: PathBuf,
    files: RefCell<HashMap<String, File>>,
}

impl Golden {
    /// Opens the folder; files are read when a check asks for them.
    ///
    /// # Errors
    /// When there is no such folder, or no safetensors file in it.
    pub(crate) fn open(folder: &Path) -> Result<Self, GoldenError> {
        let as_error = |source| GoldenError::Folder {
            path: folder.to_owned(),
            source,
        };
        let mut found = false;
        for entry in std::fs::read_dir(folder).map_err(as_error)? {
            let entry = entry.map_err(as_error)?;
            found |= entry.path().extension().is_some_and(|e| e == "safetensors");
        }
        if !found {
            return Err(GoldenError::Empty {
                path: folder.to_owned(),
            });
        }
        Ok(Golden {
            folder: folder.to_owned(),
            files: RefCell::default(),
        })
    }

    /// The tensors of the file `name`: a block type, spelled as in symbols (`q4_K`), or `static_library`.
    pub(crate) fn tensors(&self, name: &str) -> Result<GoldenFile, GoldenError> {
        let path = self.folder.join(format!("{name}.safetensors"));
        let known = self.files.borrow().get(name).cloned();
        let tensors = match known {
            Some(tensors) => tensors,
            None => {
                let tensors = Rc::new(read(&path)?);
                self.files
                    .borrow_mut()
                    .insert(name.to_owned(), tensors.clone());
                tensors
            }
        };
        Ok(GoldenFile { path, tensors })
    }
}

/// The tensors of one file.
pub(crate) struct GoldenFile {
    path: PathBuf,
    tensors: File,
}

impl GoldenFile {
    /// The tensor `name`, which must be there with `rank` dimensions.
    pub(crate) fn get(
        &self,
        name: &str,
        dtype: DType,
        rank: usize,
    ) -> Result<&Tensor, GoldenError> {
        let wrong = |reason| GoldenError::Content {
            path: self.path.clone(),
            reason,
        };
        let tensor = self
            .tensors
            .get(name)
            .ok_or_else(|| wrong(format!("no tensor {name:?}")))?;
        if tensor.data.dtype != dtype || tensor.shape.len() != rank {
            return Err(wrong(format!(
                "tensor {name:?} is {} {:?}, expected {} of {rank} dimensions",
                tensor.data.dtype.name(),
                tensor.shape,
                dtype.name(),
            )));
        }
        Ok(tensor)
    }

    /// An error about this file unless `holds`.
    pub(crate) fn ensure(
        &self,
        holds: bool,
        reason: impl FnOnce() -> String,
    ) -> Result<(), GoldenError> {
        if holds {
            return Ok(());
        }
        Err(GoldenError::Content {
            path: self.path.clone(),
            reason: reason(),
        })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

fn read(path: &Path) -> Result<HashMap<String, Tensor>, GoldenError> {
    let bytes = std::fs::read(path).map_err(|source| GoldenError::File {
        path: path.to_owned(),
        source,
    })?;
    let wrong = |reason| GoldenError::Content {
        path: path.to_owned(),
        reason,
    };
    let file = SafeTensors::deserialize(&bytes).map_err(|e| wrong(e.to_string()))?;
    file.iter()
        .map(|(name, view)| {
            let dtype = match view.dtype() {
                Dtype::U8 => DType::U8,
                Dtype::U32 => DType::U32,
                Dtype::F16 => DType::F16,
                Dtype::BF16 => DType::Bf16,
                Dtype::F32 => DType::F32,
                other => return Err(wrong(format!("tensor {name:?} has the type {other:?}"))),
            };
            let data = Array::from_bytes(dtype, view.data().to_vec());
            Ok((
                name.to_owned(),
                Tensor {
                    shape: view.shape().to_vec(),
                    data,
                },
            ))
        })
        .collect()
}
