//! GGUF files, from the disk to the device.

use std::collections::HashMap;
use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use candle_core::bail;
use candle_core::quantized::gguf_file::{Content, Value};

use super::{HipDevice, QHipStorage, QHipTensor, Result};

/// A GGUF file that is mapped into memory. What is not asked for is not read.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    content: Content,
    bytes: memmap2::Mmap,
}

/// How far [`GgufFile::load`] has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The tensor that is on the device now.
    pub name: &'a str,
    /// How many tensors are.
    pub tensors: usize,
    /// How many there are to be.
    pub total_tensors: usize,
    /// How many bytes are on the device.
    pub bytes: u64,
    /// How many there are to be.
    pub total_bytes: u64,
}

impl GgufFile {
    /// Maps a file and reads its table. The file must not be written while it is in use.
    ///
    /// # Errors
    /// A file that cannot be read, or that is not in a format that candle reads.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let with_path = |error: candle_core::Error| error.with_path(&path);
        let file = File::open(&path).map_err(|error| with_path(error.into()))?;
        // SAFETY: as with every mapped file, its bytes change under the program if somebody writes the file in place.
        // They are numbers without invalid values, and ranges are checked against the length of the map.
        let bytes =
            unsafe { memmap2::Mmap::map(&file) }.map_err(|error| with_path(error.into()))?;
        let content = Content::read(&mut Cursor::new(&bytes[..])).map_err(with_path)?;
        Ok(Self {
            path,
            content,
            bytes,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's table: metadata, and the names, types and shapes of tensors.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The file's metadata.
    pub fn metadata(&self) -> &HashMap<String, Value> {
        &self.content.metadata
    }

    /// The bytes of a tensor in the file.
    ///
    /// # Errors
    /// A tensor that is not there, is no whole number of blocks, or reaches past the end of the file.
    pub fn bytes(&self, name: &str) -> Result<&[u8]> {
        let file = self.path.display();
        let Some(info) = self.content.tensor_infos.get(name) else {
            bail!("{file} has no tensor `{name}`")
        };
        let block = info.ggml_dtype.block_size();
        let dims = info.shape.dims();
        let elements = dims
            .iter()
            .try_fold(1_usize, |count, &dim| count.checked_mul(dim));
        let size = elements
            .filter(|elements| elements.is_multiple_of(block))
            .and_then(|elements| (elements / block).checked_mul(info.ggml_dtype.type_size()));
        let Some(size) = size else {
            bail!(
                "{file}: `{name}` of {dims:?} is no whole number of {:?} blocks",
                info.ggml_dtype
            )
        };
        let range = self
            .content
            .tensor_data_offset
            .checked_add(info.offset)
            .and_then(|start| usize::try_from(start).ok())
            .and_then(|start| Some(start..start.checked_add(size)?));
        match range.clone().and_then(|range| self.bytes.get(range)) {
            Some(bytes) => Ok(bytes),
            None => bail!(
                "{file}: `{name}` is at {range:?}, the file has {} bytes",
                self.bytes.len()
            ),
        }
    }

    /// Copies a tensor to the device.
    ///
    /// # Errors
    /// As [`GgufFile::bytes`], or what the library answers.
    pub fn tensor(&self, name: &str, device: &HipDevice) -> Result<QHipTensor> {
        let bytes = self.bytes(name)?;
        let Some(info) = self.content.tensor_infos.get(name) else {
            bail!("{} has no tensor `{name}`", self.path.display())
        };
        let storage = QHipStorage::from_data(device, bytes, info.ggml_dtype)?;
        QHipTensor::new(storage, info.shape.clone())
    }

    /// Copies all tensors to the device, in the order of the file, and says after each one how far it has come.
    ///
    /// # Errors
    /// As [`GgufFile::tensor`]; what was copied before is dropped.
    pub fn load(
        &self,
        device: &HipDevice,
        mut progress: impl FnMut(Progress<'_>),
    ) -> Result<HashMap<String, QHipTensor>> {
        let mut infos: Vec<_> = self.content.tensor_infos.iter().collect();
        infos.sort_by_key(|(name, info)| (info.offset, *name));
        let mut total_bytes = 0;
        for (name, _) in &infos {
            total_bytes += self.bytes(name)?.len() as u64;
        }
        let mut loaded = HashMap::with_capacity(infos.len());
        let (total_tensors, mut bytes) = (infos.len(), 0);
        for (name, _) in infos {
            let tensor = self.tensor(name, device)?;
            bytes += tensor.storage().storage_size_in_bytes() as u64;
            loaded.insert(name.clone(), tensor);
            progress(Progress {
                name,
                tensors: loaded.len(),
                total_tensors,
                bytes,
                total_bytes,
            });
        }
        Ok(loaded)
    }
}
