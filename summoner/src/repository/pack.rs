//! Writes packs: an object that the instance has already is not stored again.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::codec::{Compression, Output};
use super::index::{DAMAGED, Index, OBJECTS, list_of};
use crate::archive::node::Node;
use crate::archive::{ObjectId, Store, tar};
use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::layout::repository as layout;
use crate::name::InstanceId;

/// A pack is cut at this size before compression: small enough to be written again, large enough to be few.
const RAW_MAX: u64 = 512 * 1024 * 1024;
/// And at this many objects, for the sake of memory.
const OBJECTS_MAX: usize = 100_000;

/// Packs of one instance while they are written.
pub struct PackWriter {
    backend: Arc<dyn Backend>,
    instance: InstanceId,
    folder: PathBuf,
    compression: Compression,
    /// The pack of each object, by number.
    known: HashMap<ObjectId, u32>,
    packs: Vec<String>,
    damaged: Vec<String>,
    used: BTreeSet<u32>,
    current: Option<Current>,
    added: Arc<AtomicU64>,
    objects: u64,
}

struct Current {
    number: u32,
    path: PathBuf,
    out: tar::Writer<Output>,
    raw: u64,
    objects: Vec<(ObjectId, u32)>,
}

/// What packs a snapshot relies on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packed {
    /// Packs that hold its objects, sorted.
    pub packs: Vec<String>,
    /// Objects that were new.
    pub objects_added: u64,
    /// Bytes of the new packs.
    pub bytes_added: u64,
}

impl PackWriter {
    /// Begins; the parts are written into `folder`.
    #[must_use]
    pub fn new(backend: &Arc<dyn Backend>, instance: &InstanceId, folder: &Path, compression: Compression, index: &Index) -> Self {
        let sound = |number: u32| !index.packs[number as usize].damaged;
        let known = index.iter().filter(|(_, (pack, _))| sound(*pack)).map(|(id, (pack, _))| (*id, *pack)).collect();
        Self {
            backend: Arc::clone(backend),
            instance: instance.clone(),
            folder: folder.to_path_buf(),
            compression,
            known,
            packs: index.packs.iter().map(|pack| pack.id.clone()).collect(),
            damaged: index.packs.iter().filter(|pack| pack.damaged).map(|pack| pack.id.clone()).collect(),
            used: BTreeSet::new(),
            current: None,
            added: Arc::default(),
            objects: 0,
        }
    }

    /// Counts into this what it adds.
    #[must_use]
    pub fn counting(mut self, added: &Arc<AtomicU64>) -> Self {
        self.added = Arc::clone(added);
        self
    }

    /// Ends the last pack; until then the snapshot has no right to its objects.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self) -> Result<Packed> {
        self.cut()?;
        let mut packs: Vec<String> = self.used.iter().map(|number| self.packs[*number as usize].clone()).collect();
        packs.sort_unstable();
        packs.dedup();
        Ok(Packed { packs, objects_added: self.objects, bytes_added: self.added.load(Ordering::SeqCst) })
    }

    fn current(&mut self) -> Result<&mut Current> {
        if self.current.is_none() {
            let number = u32::try_from(self.packs.len()).map_err(|_| Error::internal("an instance has more packs than numbers"))?;
            let path = self.folder.join(format!("pack-{number}.part"));
            let out = tar::Writer::new(Output::create(&path, self.compression)?);
            self.packs.push(String::new());
            self.current = Some(Current { number, path, out, raw: 0, objects: Vec::new() });
        }
        self.current.as_mut().ok_or_else(|| Error::internal("a pack that was begun is not there"))
    }

    fn cut(&mut self) -> Result<()> {
        let Some(Current { number, path, out, objects, .. }) = self.current.take() else { return Ok(()) };
        let written = out.finish().map_err(|error| Error::io("write", &path, &error))?.finish()?;
        let id = written.sha256[..32].to_owned();
        let ending = format!("tar.{}", self.compression.ending());
        let list = list_of(&objects);
        self.backend.take(&layout::pack(&self.instance, &id, &ending), &path)?;
        self.backend.put(&layout::pack(&self.instance, &id, OBJECTS), &mut list.as_bytes())?;
        // The same content again, in the place of a damaged pack of that name.
        if self.damaged.contains(&id) {
            self.backend.delete(&layout::pack(&self.instance, &id, DAMAGED))?;
        }
        self.added.fetch_add(written.bytes + list.len() as u64, Ordering::SeqCst);
        self.packs[number as usize] = id;
        Ok(())
    }
}

impl Store for PackWriter {
    fn put(&mut self, bytes: &[u8]) -> Result<ObjectId> {
        let id = ObjectId::of(bytes);
        if let Some(pack) = self.known.get(&id) {
            self.used.insert(*pack);
            return Ok(id);
        }
        let size = u32::try_from(bytes.len()).map_err(|_| Error::internal("an object is larger than objects are"))?;
        let current = self.current()?;
        let written = current.out.append(&Node::plain(id.to_string().as_bytes(), 0o600), bytes);
        written.map_err(|error| Error::io("write", &current.path, &error))?;
        current.raw += u64::from(size);
        current.objects.push((id, size));
        let (number, full) = (current.number, current.raw >= RAW_MAX || current.objects.len() >= OBJECTS_MAX);
        self.known.insert(id, number);
        self.used.insert(number);
        self.objects += 1;
        if full {
            self.cut()?;
        }
        Ok(id)
    }

    fn keep(&mut self, objects: &[ObjectId]) -> bool {
        let packs: Option<Vec<u32>> = objects.iter().map(|id| self.known.get(id).copied()).collect();
        let Some(packs) = packs else { return false };
        self.used.extend(packs);
        true
    }
}
