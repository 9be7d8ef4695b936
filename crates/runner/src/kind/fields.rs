//! The fields of a stage's entry that only some kinds have. A kind with such fields takes its parameters from them, not from `params`.

/// A field of a stage, besides those that every stage has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// A script that the kind fills in itself where it says `${inputs.name}`, `${outputs.name}` or `${checkpoint}`. The parameter `run`.
    Run,
    /// What the script is given to: the name of a shell, or a program with its arguments. The parameter `shell`.
    Shell,
    /// The files that the stage writes, by the names of its outputs; a folder has a slash at the end. The parameter `outputs`.
    Outputs,
    /// Texts by name; numbers and truth values are taken as text. The parameter `env`.
    Env,
    /// What the script runs in. The parameter `environment`; the file that it is made from is the input `environment.uv` or
    /// `environment.conda`.
    Environment,
    /// Programs by name, each with a command that tells its version, or a file. No parameter: what they say enters the key as they say it.
    Tools,
    /// A name, with a slash at the end for a folder, of what the stage keeps between attempts. The parameter `checkpoint`; the key's
    /// checkpoints are dropped when the key of the task changes.
    Checkpoint,
    /// Whether the stage is confined. No parameter, for it enters no key: [`Context::sandbox`](crate::kind::context::Context::sandbox)
    /// has it.
    Sandbox,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    Text,
    Map,
    Flag,
    /// Text, or a list of texts.
    Words,
    /// A mapping whose values are looked at elsewhere.
    Open,
}

/// Whether a stage must have a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Required,
    /// Where it is left out, the default of the parameter counts; no stage is confined.
    Optional,
}

impl Field {
    /// Every field, in the order of parameters and schemas.
    pub const ALL: [Field; 8] = [
        Field::Run,
        Field::Shell,
        Field::Outputs,
        Field::Env,
        Field::Environment,
        Field::Tools,
        Field::Checkpoint,
        Field::Sandbox,
    ];

    /// The name in the pipeline's file, and of the parameter.
    pub const fn name(self) -> &'static str {
        match self {
            Field::Run => "run",
            Field::Shell => "shell",
            Field::Outputs => "outputs",
            Field::Env => "env",
            Field::Environment => "environment",
            Field::Tools => "tools",
            Field::Checkpoint => "checkpoint",
            Field::Sandbox => "sandbox",
        }
    }

    /// The field of this name.
    pub fn named(name: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.name() == name)
    }

    pub fn shape(self) -> Shape {
        match self {
            Field::Run | Field::Checkpoint => Shape::Text,
            Field::Outputs | Field::Env => Shape::Map,
            Field::Sandbox => Shape::Flag,
            Field::Shell => Shape::Words,
            Field::Environment | Field::Tools => Shape::Open,
        }
    }

    /// Whether it is a parameter of the kind.
    pub fn is_param(self) -> bool {
        !matches!(self, Field::Sandbox | Field::Tools)
    }

    /// What it is for; `stage` names the stages that have it, as in "a `command` stage".
    pub fn about(self, stage: &str) -> String {
        match self {
            Field::Run => {
                format!("The shell command of {stage}, with `${{inputs.name}}` and `${{outputs.name}}`.")
            }
            Field::Shell => format!(
                "What the command of {stage} is given to: `sh` (the default, `sh -e`), `bash` (`bash -euo pipefail`), or a program with \
                 its arguments like `[python3, -c]`."
            ),
            Field::Outputs => format!("The files that {stage} writes, by name."),
            Field::Env => format!("Environment variables of {stage}."),
            Field::Environment => format!(
                "What the command of {stage} runs in: the packages of a `uv.lock` or of a conda `environment.yml`, or a container."
            ),
            Field::Tools => format!(
                "The programs that {stage} is computed with, by name: a command that tells the version, or `{{file: path}}`."
            ),
            Field::Checkpoint => format!(
                "What {stage} keeps between attempts, as `${{checkpoint}}`: a file, or a folder with `/` at the end."
            ),
            Field::Sandbox => format!("Whether {stage} sees nothing but its inputs and the system."),
        }
    }

    /// What to do where a stage lacks it.
    pub fn advice(self) -> &'static str {
        match self {
            Field::Run => "add `run: program ${inputs.x} > ${outputs.y}`",
            Field::Shell => "add `shell: bash`",
            Field::Outputs => "add `outputs: {result: result.csv}`, the files that it writes",
            Field::Env => "add `env: {NAME: value}`",
            Field::Environment => "add `environment: {uv: uv.lock}`",
            Field::Tools => "add `tools: {python: python3 --version}`",
            Field::Checkpoint => "add `checkpoint: state/`",
            Field::Sandbox => "add `sandbox: true`",
        }
    }
}

/// The fields of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fields(&'static [(Field, Need)]);

impl Fields {
    /// None: the parameters of its stages stand under `params`.
    pub const NONE: Fields = Fields(&[]);

    /// These, and no `params`.
    pub const fn of(fields: &'static [(Field, Need)]) -> Fields {
        Fields(fields)
    }

    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub fn has(self, field: Field) -> bool {
        self.0.iter().any(|(own, _)| *own == field)
    }

    /// Those that a stage must have.
    pub fn required(self) -> impl Iterator<Item = Field> {
        let required = self.0.iter().filter(|(_, need)| *need == Need::Required);
        required.map(|(field, _)| *field)
    }

    /// The names of those that are parameters.
    pub fn params(self) -> Vec<&'static str> {
        let own = Field::ALL.into_iter().filter(|field| self.has(*field) && field.is_param());
        own.map(Field::name).collect()
    }
}
