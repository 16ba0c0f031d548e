//! From the sizes of an attention to something that can run: the graph of one node, the engines that can do it, best
//! first, and the plan of one of them.
//!
//! Nothing up to the plan needs a card: the library answers for one that is described to it as well.

use std::ffi::CString;
use std::fmt;
use std::path::Path;

use super::api::{self, Api, Attribute, Descriptor, Element, Handle, Mode};
use crate::discover::{CudaVersion, Found, Library, Search};
use crate::error::{Error, Result};
use crate::ops::{Attention, Float, HEAD};

/// The first version whose graphs have attention as one node that NVIDIA's own front end uses: 9.13.1.
const VERSION_MIN: Version = Version(91_301);

/// Engines that are asked for; there are one or two.
const ENGINES_MAX: usize = 8;

/// A version of cuDNN, as it states it: 92800 is 9.28.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub usize);

/// What a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sizes {
    /// bf16 or f16.
    pub float: Float,
    /// Heads, 128 wide.
    pub heads: usize,
    /// Rows of `q` and of the result.
    pub queries: usize,
    /// Rows of `k` and `v`.
    pub keys: usize,
    /// Elements from one row to the next, of `q`, `k`, `v` and the result; `heads * 128` where no gaps lie between.
    pub strides: [usize; 4],
}

/// An engine that can do an attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Its number among the library's engines for one node of attention.
    pub index: i64,
    /// Memory that it needs beside inputs and result.
    pub workspace_bytes: u64,
}

/// The library, without a card.
pub struct Planner {
    pub(super) api: Api,
    found: Found,
    version: Version,
    /// The major version of NVRTC that it asks for, where there is none.
    lacks_nvrtc: Option<u32>,
}

/// A plan for one card, ready to run.
pub(super) struct Plan {
    pub descriptor: Descriptor,
    pub engine: Engine,
    /// What it was made from, which it may refer to.
    _kept: (Graph, Vec<Descriptor>),
}

/// The tensors' names in a graph: `q`, `k`, `v`, the result, the scale.
pub(super) const IDS: [i64; 5] = [1, 2, 3, 4, 5];

struct Graph {
    descriptor: Descriptor,
    _operation: Descriptor,
    _tensors: Vec<Descriptor>,
}

/// Where a plan is to run.
#[derive(Clone, Copy)]
enum Target<'a> {
    Card(Handle),
    Described(&'a Descriptor),
}

impl Planner {
    /// Finds and opens the library, and what it asks for by name: NVRTC, without which most versions have no engine,
    /// and cuBLASLt, without which it ends the process.
    ///
    /// # Errors
    /// If there is none, it is older than 9.13.1 or newer than the driver, or there is no cuBLASLt for it.
    pub fn open(search: &Search, driver: Option<CudaVersion>) -> Result<Self> {
        let missing = |error| match error {
            Error::LibraryMissing { library, .. } => Error::LibraryMissing { library, driver },
            other => other,
        };
        let found = search.open(Library::Cudnn, None).map_err(missing)?;
        let api = Api::load(&found)?;
        // SAFETY: both take nothing.
        let (version, cuda) = unsafe { (Version((api.version)()), (api.cuda_version)() as u32) };
        if version < VERSION_MIN {
            let (found, needed) = (version.to_string(), VERSION_MIN.to_string());
            return Err(Error::LibraryTooOld { library: Library::Cudnn, found, needed, driver });
        }
        let cuda = CudaVersion { major: cuda / 1000, minor: cuda % 1000 / 10 };
        if let Some(driver) = driver.filter(|driver| driver.major < cuda.major) {
            return Err(Error::DriverTooOld { library: Library::Cudnn, found: cuda, driver });
        }
        let search = beside(search, &found);
        search.open_exactly(Library::CublasLt, cuda.major).map_err(missing)?;
        let lacks_nvrtc = search.open_exactly(Library::Nvrtc, cuda.major).is_err().then_some(cuda.major);
        Ok(Self { api, found, version, lacks_nvrtc })
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where it was found.
    pub fn found(&self) -> &Found {
        &self.found
    }

    /// The engines for an attention on a card that is described, best first; none of them is compiled. `card` is the
    /// text of `CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION`.
    ///
    /// # Errors
    /// [`Error::LibraryRefused`] if the library does not take the description, or has no engine.
    ///
    /// # Panics
    /// If the text has a zero inside.
    pub fn engines(&self, card: &str, sizes: &Sizes) -> Result<Vec<Engine>> {
        let device = self.described(card)?;
        let target = Target::Described(&device);
        let graph = self.graph(sizes, target)?;
        self.configurations(&graph, target)?.iter().map(Engine::of).collect()
    }

    /// Plans of all engines for a card that is described. Where there is no card they are compiled and then not loaded:
    /// each ends in the driver's refusal of `cuLibraryLoadData`.
    ///
    /// # Errors
    /// As [`Self::engines`].
    ///
    /// # Panics
    /// As [`Self::engines`].
    pub fn compile(&self, card: &str, sizes: &Sizes) -> Result<Vec<Result<Engine>>> {
        let device = self.described(card)?;
        let target = Target::Described(&device);
        let graph = self.graph(sizes, target)?;
        let configurations = self.configurations(&graph, target)?;
        let compiled = |configuration| self.planned(configuration, target).map(|(_, engine)| engine);
        Ok(configurations.iter().map(compiled).collect())
    }

    fn described(&self, card: &str) -> Result<Descriptor> {
        let card = CString::new(card).expect("text");
        Descriptor::new(self.api, api::Kind::Device)?.text(Attribute::DeviceJson, &card)?.finish()
    }

    /// A plan for the card of a handle, by the best engine that takes it. Compiles its kernel, which may take seconds.
    ///
    /// # Safety
    /// The handle is live, and its card current.
    ///
    /// # Errors
    /// [`Error::LibraryRefused`] if the library has no engine, or none of them works.
    pub(super) unsafe fn plan(&self, handle: Handle, sizes: &Sizes) -> Result<Plan> {
        let target = Target::Card(handle);
        let graph = self.graph(sizes, target)?;
        let configurations = self.configurations(&graph, target)?;
        let mut refused = None;
        for configuration in &configurations {
            match self.planned(configuration, target) {
                Ok((descriptor, engine)) => {
                    tracing::debug!("cuDNN: engine {} for {sizes}", engine.index);
                    return Ok(Plan { descriptor, engine, _kept: (graph, configurations) });
                }
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.expect("there is an engine"))
    }

    fn planned(&self, configuration: &Descriptor, target: Target) -> Result<(Descriptor, Engine)> {
        let plan = Descriptor::new(self.api, api::Kind::Plan)?;
        let plan = match target {
            // SAFETY: the caller of `plan` answers for the handle.
            Target::Card(handle) => unsafe { plan.handle(Attribute::PlanHandle, handle) }?,
            Target::Described(device) => plan.descriptor(Attribute::PlanDevice, device)?,
        };
        let plan = plan.descriptor(Attribute::PlanConfiguration, configuration)?.finish()?;
        let workspace_bytes = plan.number(Attribute::PlanWorkspaceBytes)?.max(0).cast_unsigned();
        let engine = Engine { workspace_bytes, ..Engine::of(configuration)? };
        Ok((plan, engine))
    }

    fn graph(&self, sizes: &Sizes, target: Target) -> Result<Graph> {
        let tensors = self.tensors(sizes)?;
        let [q, k, v, y, scale] = &tensors[..] else { unreachable!("five tensors") };
        let operation = Descriptor::new(self.api, api::Kind::Attention)?
            .descriptor(Attribute::AttentionQ, q)?
            .descriptor(Attribute::AttentionK, k)?
            .descriptor(Attribute::AttentionV, v)?
            .descriptor(Attribute::AttentionY, y)?
            .descriptor(Attribute::AttentionScale, scale)?
            .finish()?;
        let graph = Descriptor::new(self.api, api::Kind::Graph)?.descriptor(Attribute::GraphOperations, &operation)?;
        let graph = match target {
            // SAFETY: the caller of `plan` answers for the handle.
            Target::Card(handle) => unsafe { graph.handle(Attribute::GraphHandle, handle) }?,
            Target::Described(_) => graph,
        };
        Ok(Graph { descriptor: graph.finish()?, _operation: operation, _tensors: tensors })
    }

    fn tensors(&self, sizes: &Sizes) -> Result<Vec<Descriptor>> {
        let &Sizes { float, heads, queries, keys, strides } = sizes;
        let element = match float {
            Float::F16 => Element::F16,
            Float::Bf16 => Element::Bf16,
            other => panic!("attention of {other}"),
        };
        let mut tensors = Vec::new();
        for ((id, rows), stride) in IDS.into_iter().zip([queries, keys, keys, queries]).zip(strides) {
            // [batch, head, row, element], the batch being one.
            let sizes = [1, heads, rows, HEAD].map(|size| size as i64);
            let strides = [rows * stride, HEAD, stride, 1].map(|stride| stride as i64);
            tensors.push(self.tensor(id, element, sizes, strides)?.finish()?);
        }
        let scale = self.tensor(IDS[4], Element::F32, [1; 4], [1; 4])?.flag(Attribute::TensorIsByValue, true)?;
        tensors.push(scale.finish()?);
        Ok(tensors)
    }

    fn tensor(&self, id: i64, element: Element, sizes: [i64; 4], strides: [i64; 4]) -> Result<Descriptor> {
        let alignment = if matches!(element, Element::F32) { 4 } else { 16 };
        Descriptor::new(self.api, api::Kind::Tensor)?
            .numbers(Attribute::TensorId, &[id])?
            .element(Attribute::TensorElement, element)?
            .numbers(Attribute::TensorAlignment, &[alignment])?
            .numbers(Attribute::TensorSizes, &sizes)?
            .numbers(Attribute::TensorStrides, &strides)
    }

    /// Engines with their settings, best first; at least one.
    fn configurations(&self, graph: &Graph, target: Target) -> Result<Vec<Descriptor>> {
        let best = self.proposed(graph, target, Mode::Best);
        if best.as_ref().is_ok_and(|found| !found.is_empty()) {
            return best;
        }
        let fallback = self.proposed(graph, target, Mode::Fallback)?;
        if fallback.is_empty() {
            best?;
            let without = self.lacks_nvrtc.map_or(String::new(), |major| format!(" without NVRTC {major}"));
            let what = format!("attention as one node of cuDNN {}{without}", self.version);
            return Err(Error::Unsupported { what, on: "this card, at this size".into() });
        }
        Ok(fallback)
    }

    fn proposed(&self, graph: &Graph, target: Target, mode: Mode) -> Result<Vec<Descriptor>> {
        let heuristics = Descriptor::new(self.api, api::Kind::Heuristics)?
            .descriptor(Attribute::HeuristicsGraph, &graph.descriptor)?
            .mode(Attribute::HeuristicsMode, mode)?;
        let heuristics = match target {
            Target::Card(_) => heuristics,
            Target::Described(device) => heuristics.descriptor(Attribute::HeuristicsDevice, device)?,
        };
        let heuristics = heuristics.finish()?;
        heuristics.results(Attribute::HeuristicsResults, api::Kind::Configuration, ENGINES_MAX)
    }
}

/// The same folders, and those of the packages that pip laid beside the library's own: `nvidia/cudnn/lib`.
fn beside(search: &Search, found: &Found) -> Search {
    let mut search = search.clone();
    let packages = found.path.ancestors().nth(3);
    if let Some(packages) = packages.filter(|path| path.file_name().is_some_and(|name| name == "nvidia")) {
        search.site_packages.extend(packages.parent().map(Path::to_path_buf));
    }
    search
}

impl Engine {
    fn of(configuration: &Descriptor) -> Result<Self> {
        let engines = configuration.results(Attribute::ConfigurationEngine, api::Kind::Engine, 1)?;
        let index = engines.first().map_or(Ok(-1), |engine| engine.number(Attribute::EngineIndex))?;
        let workspace_bytes = configuration.number(Attribute::ConfigurationWorkspaceBytes)?.max(0).cast_unsigned();
        Ok(Self { index, workspace_bytes })
    }
}

impl Sizes {
    /// Rows without gaps.
    pub fn dense(float: Float, heads: usize, queries: usize, keys: usize) -> Self {
        Self { float, heads, queries, keys, strides: [heads * HEAD; 4] }
    }

    /// Of a call.
    pub fn of(call: &Attention) -> Self {
        let Attention { q, k, v, y, .. } = call;
        Self {
            float: q.float,
            heads: q.width / HEAD,
            queries: q.rows,
            keys: k.rows,
            strides: [q.stride, k.stride, v.stride, y.stride],
        }
    }

    /// Floating-point operations of both products.
    pub fn operations(&self) -> f64 {
        4.0 * (self.queries as f64) * (self.keys as f64) * ((self.heads * HEAD) as f64)
    }
}

impl Version {
    /// Before the last point.
    pub fn short(self) -> CudaVersion {
        let [major, minor] = [self.0 / 10_000, self.0 / 100 % 100].map(|part| part as u32);
        CudaVersion { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.short(), self.0 % 100)
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { float, heads, queries, keys, .. } = self;
        write!(f, "{queries} queries, {keys} keys, {heads} heads, {float}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_library_counts() {
        for (number, text) in [(91_301, "9.13.1"), (92_800, "9.28.0"), (90_100, "9.1.0")] {
            assert_eq!(Version(number).to_string(), text);
        }
        assert!(Version(91_002) < VERSION_MIN && VERSION_MIN < Version(91_900));
    }
}
