//! Who runs what, and where: what a record tells of a run besides its tasks. None of it enters a key or an output.

use crate::kind::registry::{Kind, Registry};
use crate::store::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::fs;

/// The variables of the environment that change how programs compute, or where.
const VARIABLES: [&str; 23] = [
    "CONDA_DEFAULT_ENV",
    "CONDA_PREFIX",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "LANG",
    "LC_ALL",
    "LOADEDMODULES",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "ONSAGER_LOG",
    "OPENBLAS_NUM_THREADS",
    "PATH",
    "PBS_JOBID",
    "PYTHONHASHSEED",
    "PYTHONPATH",
    "RAYON_NUM_THREADS",
    "ROCR_VISIBLE_DEVICES",
    "SLURM_JOB_ID",
    "SOURCE_DATE_EPOCH",
    "TMPDIR",
    "TZ",
    "VIRTUAL_ENV",
];

/// What a record tells of its run besides the tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// As the environment names the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The digest of the code of all stage kinds that the program has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<Digest>,
    /// The operating system and its processor's architecture.
    pub system: String,
    /// How the program was called, without its own name.
    pub arguments: Vec<String>,
    /// Where it was called.
    pub folder: String,
    /// The variables that change how programs compute, or where, as far as they are set.
    pub environment: BTreeMap<String, String>,
}

impl Facts {
    /// Those of a run that this process begins now.
    pub fn now(registry: &Registry) -> Facts {
        let set = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(|value| value.to_string_lossy().into_owned())
        };
        let kernel = |name: &str| {
            let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
            text.trim().to_owned()
        };
        let system = [kernel("ostype"), kernel("osrelease"), ARCH.to_owned()];
        Facts {
            user: set("USER").or_else(|| set("LOGNAME")),
            program: Some(program(registry)),
            system: system.join(" ").trim().to_owned(),
            arguments: std::env::args_os()
                .skip(1)
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
            folder: std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned(),
            environment: VARIABLES.iter().filter_map(|name| Some(((*name).to_owned(), set(name)?))).collect(),
        }
    }
}

/// The digest of the names and fingerprints of all kinds.
pub fn program(registry: &Registry) -> Digest {
    let mut kinds: Vec<String> =
        registry.iter().map(|kind: &dyn Kind| format!("{} {}\n", kind.name(), kind.fingerprint())).collect();
    kinds.sort();
    Digest::of(kinds.concat().as_bytes())
}
