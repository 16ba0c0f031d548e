//! What machine code says of its kernels: registers, local memory, shared memory. It is an ELF file.

/// Facts of one kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFacts {
    /// Its function.
    pub name: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Stack of a thread in bytes: arrays with run-time indices, and what registers spilled.
    pub stack_bytes: u32,
    /// Shared memory of a block that is fixed at compile time, in bytes.
    pub shared_bytes: u64,
    /// Machine code in bytes.
    pub code_bytes: u64,
}

/// Attributes of `.nv.info`.
const FRAME_SIZE: u8 = 0x11;
const MIN_STACK_SIZE: u8 = 0x12;
const REGISTER_COUNT: u8 = 0x2f;

/// The facts of every kernel in machine code; `None` if it is no such file.
pub fn kernel_facts(cubin: &[u8]) -> Option<Vec<KernelFacts>> {
    let sections = sections(cubin)?;
    let symbols = symbol_names(cubin, &sections)?;
    let mut all: Vec<KernelFacts> = sections
        .iter()
        .filter_map(|section| {
            let name = section.name.strip_prefix(".text.")?.to_owned();
            let shared = sections.iter().find(|other| other.name == format!(".nv.shared.{name}"));
            let shared_bytes = shared.map_or(0, |shared| shared.bytes);
            Some(KernelFacts { name, registers: 0, stack_bytes: 0, shared_bytes, code_bytes: section.bytes })
        })
        .collect();
    let info = sections.iter().find(|section| section.name == ".nv.info")?;
    for (attribute, symbol, value) in attributes(info.content(cubin)?) {
        let name = symbols.get(symbol as usize)?;
        let Some(facts) = all.iter_mut().find(|facts| facts.name == *name) else { continue };
        match attribute {
            REGISTER_COUNT => facts.registers = value,
            FRAME_SIZE | MIN_STACK_SIZE => facts.stack_bytes = facts.stack_bytes.max(value),
            _ => {}
        }
    }
    Some(all)
}

struct Section {
    name: String,
    kind: u32,
    start: u64,
    bytes: u64,
    link: u32,
}

impl Section {
    fn content<'a>(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        file.get(usize::try_from(self.start).ok()?..)?.get(..usize::try_from(self.bytes).ok()?)
    }
}

/// Entries of `.nv.info` that belong to a symbol: attribute, symbol, value.
fn attributes(mut info: &[u8]) -> Vec<(u8, u32, u32)> {
    let mut all = Vec::new();
    while let [format, attribute, a, b, rest @ ..] = info {
        // Format 4 has a size and that many bytes; the others hold their value in the two bytes seen.
        let size = if *format == 4 { usize::from(u16::from_le_bytes([*a, *b])) } else { 0 };
        let Some((value, rest)) = rest.split_at_checked(size) else { break };
        if let Some((symbol, value)) = value.split_first_chunk::<4>()
            && let Ok(value) = value.try_into()
        {
            all.push((*attribute, u32::from_le_bytes(*symbol), u32::from_le_bytes(value)));
        }
        info = rest;
    }
    all
}

const STRING_TABLE: u32 = 3;
const SYMBOL_TABLE: u32 = 2;

fn sections(file: &[u8]) -> Option<Vec<Section>> {
    if file.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let table = usize::try_from(number(file, 0x28, 8)?).ok()?;
    let entry_bytes = number(file, 0x3a, 2)? as usize;
    let count = number(file, 0x3c, 2)? as usize;
    let names_index = number(file, 0x3e, 2)? as usize;
    let header = |index: usize| table.checked_add(index * entry_bytes);
    let names_start = usize::try_from(number(file, header(names_index)? + 0x18, 8)?).ok()?;
    (0..count)
        .map(|index| {
            let at = header(index)?;
            let name = text_at(file, names_start + number(file, at, 4)? as usize)?;
            Some(Section {
                name,
                kind: number(file, at + 4, 4)? as u32,
                start: number(file, at + 0x18, 8)?,
                bytes: number(file, at + 0x20, 8)?,
                link: number(file, at + 0x28, 4)? as u32,
            })
        })
        .collect()
}

fn symbol_names(file: &[u8], sections: &[Section]) -> Option<Vec<String>> {
    let table = sections.iter().find(|section| section.kind == SYMBOL_TABLE)?;
    let names = sections.get(table.link as usize).filter(|section| section.kind == STRING_TABLE)?;
    let start = usize::try_from(names.start).ok()?;
    table.content(file)?.chunks_exact(24).map(|symbol| text_at(file, start + number(symbol, 0, 4)? as usize)).collect()
}

fn number(file: &[u8], at: usize, size: usize) -> Option<u64> {
    let mut bytes = [0; 8];
    bytes[..size].copy_from_slice(file.get(at..)?.get(..size)?);
    Some(u64::from_le_bytes(bytes))
}

fn text_at(file: &[u8], at: usize) -> Option<String> {
    let rest = file.get(at..)?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    Some(String::from_utf8_lossy(&rest[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_machine_code_is_none() {
        for file in [&b""[..], b"\x7fELF", b"\x7fELF\x02", &[0; 200], b"\x7fELF\x02\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert_eq!(kernel_facts(file), None);
        }
        let mut long = b"\x7fELF\x02".to_vec();
        long.resize(300, 0xff);
        assert_eq!(kernel_facts(&long), None);
    }
}
