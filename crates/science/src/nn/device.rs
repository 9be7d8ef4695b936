//! Where a network runs.

use super::error::NnError;
use candle_core::Device;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::OnceLock;

/// The class of device that a network runs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceClass {
    /// The best that there is: a graphics card that this program was built for, else the CPU.
    #[default]
    Auto,
    Cpu,
    Cuda,
    Metal,
}

/// The words of the parameter.
const WORDS: [&str; 4] = ["auto", "cpu", "cuda", "metal"];

impl DeviceClass {
    /// The class itself: of `auto`, what that is on this machine, which is tried out once.
    pub fn resolved(self) -> DeviceClass {
        static AUTO: OnceLock<DeviceClass> = OnceLock::new();
        if self != DeviceClass::Auto {
            return self;
        }
        *AUTO.get_or_init(|| {
            let usable = |class: &DeviceClass| class.device().is_ok();
            [DeviceClass::Cuda, DeviceClass::Metal].into_iter().find(usable).unwrap_or(DeviceClass::Cpu)
        })
    }

    /// The same for what runs on the CPU only, where `auto` is the CPU.
    pub fn of_cpu_only(self) -> DeviceClass {
        if self == DeviceClass::Auto { DeviceClass::Cpu } else { self }
    }

    /// The name in a file.
    pub fn name(self) -> &'static str {
        match self {
            DeviceClass::Auto => "auto",
            DeviceClass::Cpu => "cpu",
            DeviceClass::Cuda => "cuda",
            DeviceClass::Metal => "metal",
        }
    }

    /// The device, the first of its class.
    pub fn device(self) -> Result<Device, NnError> {
        let (device, feature) = match self {
            DeviceClass::Auto => return self.resolved().device(),
            DeviceClass::Cpu => return Ok(Device::Cpu),
            DeviceClass::Cuda => (Device::new_cuda(0), cfg!(feature = "cuda")),
            DeviceClass::Metal => (Device::new_metal(0), cfg!(feature = "metal")),
        };
        device.map_err(|error| NnError::NoDevice {
            device: self.name(),
            why: match feature {
                true => format!("there is none that works ({error})"),
                false => "this program was built without it".into(),
            },
            help: match (feature, self) {
                (true, _) => "check the driver, or set `device: cpu` or `device: auto`",
                (false, DeviceClass::Metal) => {
                    "build with `--features metal`, or set `device: cpu` or `device: auto`"
                }
                (false, _) => "build with `--features cuda`, or set `device: cpu` or `device: auto`",
            },
        })
    }
}

/// `auto` becomes what it stands for when it is written, so it never enters a key.
impl Serialize for DeviceClass {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.resolved().name())
    }
}

impl JsonSchema for DeviceClass {
    fn schema_name() -> Cow<'static, str> {
        "DeviceClass".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The class of device that a network runs on; `auto` is the best that there is.",
            "type": "string",
            "enum": WORDS,
        })
    }
}

/// The device of what runs on the CPU only: `auto` and `cpu` are the same, and another is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CpuDevice {
    #[default]
    Cpu,
}

impl<'de> Deserialize<'de> for CpuDevice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CpuDevice, D::Error> {
        let word = String::deserialize(deserializer)?;
        match &word[..] {
            "auto" | "cpu" => Ok(CpuDevice::Cpu),
            "cuda" | "metal" => {
                let message = format!(
                    "`{word}` is not for this kind, which runs on the CPU only, in f64 with derivatives of the score: give `cpu`"
                );
                Err(D::Error::custom(message))
            }
            _ => Err(D::Error::unknown_variant(&word, &WORDS)),
        }
    }
}

impl JsonSchema for CpuDevice {
    fn schema_name() -> Cow<'static, str> {
        "CpuDevice".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The CPU, which is all that this kind runs on; `auto` is the same.",
            "type": "string",
            "enum": &WORDS[..2],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `auto` is resolved when it is written; a device that is not compiled in is an error that says what to do.
    #[test]
    fn words() {
        let read = |word: &str| serde_json::from_value::<DeviceClass>(word.into());
        let auto = read("auto").unwrap();
        assert_eq!(serde_json::to_value(auto).unwrap(), auto.resolved().name());
        assert!(auto.resolved() != DeviceClass::Auto && auto.device().is_ok());
        assert_eq!(auto.of_cpu_only(), DeviceClass::Cpu);
        assert_eq!(DeviceClass::Metal.of_cpu_only(), DeviceClass::Metal);
        assert_eq!(serde_json::to_value(read("cuda").unwrap()).unwrap(), "cuda");
        assert!(read("gpu").unwrap_err().to_string().contains("`metal`"));
        assert!(DeviceClass::Cpu.device().unwrap().is_cpu());
        let cpu = |word: &str| serde_json::from_value::<CpuDevice>(word.into());
        assert_eq!((cpu("auto").unwrap(), cpu("cpu").unwrap()), (CpuDevice::Cpu, CpuDevice::Cpu));
        assert!(cpu("cuda").unwrap_err().to_string().contains("on the CPU only"));
        if !cfg!(feature = "cuda") {
            let error = DeviceClass::Cuda.device().unwrap_err().to_string();
            assert!(error.contains("built without it") && error.contains("`--features cuda`"), "{error}");
        }
    }
}
