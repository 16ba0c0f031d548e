//! The part of the pickle machine that a dictionary of tensors takes (protocols 2 to 5).

use std::collections::HashMap;

use vita_tensor::DType;

use super::{dtype, problem};
use crate::error::ErrorKind;

/// A tensor as the pickle describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorView {
    pub dtype: DType,
    /// Name of its storage in the archive.
    pub storage: String,
    /// First element.
    pub offset: usize,
    pub sizes: Vec<usize>,
    pub strides: Vec<usize>,
}

/// Runs a pickle and returns the tensors of its dictionary, or of the dictionary `state_dict` in it.
pub fn run(pickle: &[u8]) -> Result<Vec<(String, TensorView)>, ErrorKind> {
    let mut machine =
        Machine { code: pickle, at: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    let top = machine.run()?;
    machine.tensors(top)
}

/// A value, by its place in [`Machine::values`]: dictionaries are filled after they were first referred to.
type Place = usize;

#[derive(Clone, Debug)]
enum Value {
    None,
    Int(i64),
    Text(String),
    /// Tuples and lists.
    Items(Vec<Place>),
    Dict(Vec<(Place, Place)>),
    /// A function or class, by module and name; one of [`ALLOWED`].
    Global(String),
    Storage {
        dtype: DType,
        name: String,
    },
    Tensor(TensorView),
    /// Something that no tensor is made of: a float, bytes, hooks.
    Other,
}

/// What a pickle of tensors may call, besides the storage classes.
const ALLOWED: &[&str] = &[
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_parameter",
    "torch.Size",
    "torch.device",
];

/// Values that a pickle may make: far more than any model's.
const VALUES_MAX: usize = 20_000_000;

struct Machine<'a> {
    code: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Place>,
    marks: Vec<usize>,
    memo: HashMap<u64, Place>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Place, ErrorKind> {
        loop {
            let [code] = self.take()?;
            match code {
                0x80 => drop(self.take::<1>()?),
                0x95 => drop(self.take::<8>()?),
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'2' => {
                    let top = *self.stack.last().ok_or_else(broken)?;
                    self.stack.push(top);
                }
                b'N' | 0x88 | 0x89 | b')' | b']' | b'}' | 0x8f => self.push(match code {
                    b')' | b']' | 0x8f => Value::Items(Vec::new()),
                    b'}' => Value::Dict(Vec::new()),
                    0x88 => Value::Int(1),
                    0x89 => Value::Int(0),
                    _ => Value::None,
                })?,
                b'K' => {
                    let [value] = self.take()?;
                    self.push(Value::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.take()?);
                    self.push(Value::Int(value.into()))?;
                }
                b'J' => {
                    let value = i32::from_le_bytes(self.take()?);
                    self.push(Value::Int(value.into()))?;
                }
                0x8a => {
                    let [len] = self.take()?;
                    let bytes = self.slice(len.into())?;
                    let value = long(bytes).ok_or_else(broken)?;
                    self.push(Value::Int(value))?;
                }
                b'G' => {
                    self.take::<8>()?;
                    self.push(Value::Other)?;
                }
                b'X' | 0x8c | 0x8d => {
                    let len = self.length(code, b'X', 0x8c)?;
                    let text = std::str::from_utf8(self.slice(len)?).map_err(|_| broken())?.to_owned();
                    self.push(Value::Text(text))?;
                }
                b'B' | b'C' | 0x8e | 0x96 => {
                    let len = if code == 0x96 { self.length(0, 1, 1)? } else { self.length(code, b'B', b'C')? };
                    self.slice(len)?;
                    self.push(Value::Other)?;
                }
                b'U' | b'T' => {
                    let len = if code == b'U' {
                        self.take::<1>()?[0].into()
                    } else {
                        u32::from_le_bytes(self.take()?).into()
                    };
                    let text = std::str::from_utf8(self.slice(len)?).map_err(|_| broken())?.to_owned();
                    self.push(Value::Text(text))?;
                }
                b'q' => {
                    let [name] = self.take()?;
                    self.memoize(name.into())?;
                }
                b'r' => {
                    let name = u32::from_le_bytes(self.take()?);
                    self.memoize(name.into())?;
                }
                0x94 => self.memoize(self.memo.len() as u64)?,
                b'h' => {
                    let [name] = self.take()?;
                    self.recall(name.into())?;
                }
                b'j' => {
                    let name = u32::from_le_bytes(self.take()?);
                    self.recall(name.into())?;
                }
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::Items(items))?;
                }
                0x85..=0x87 => {
                    let count = usize::from(code - 0x84);
                    let from = self.stack.len().checked_sub(count).ok_or_else(broken)?;
                    let items = self.stack.split_off(from);
                    self.push(Value::Items(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(vec![item])?;
                }
                b'e' | 0x90 => {
                    let items = self.since_mark()?;
                    self.append(items)?;
                }
                b's' => {
                    let (value, key) = (self.pop()?, self.pop()?);
                    self.set(vec![key, value])?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set(items)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.global(&module, &name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Value::Text(name), Value::Text(module)) = (self.value(name), self.value(module)) else {
                        return Err(broken());
                    };
                    self.global(&module, &name)?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.persistent(id)?;
                }
                b'R' | 0x81 => {
                    let (arguments, function) = (self.pop()?, self.pop()?);
                    self.call(function, arguments)?;
                }
                // State of an object: of an OrderedDict, its attributes, which hold no tensors.
                b'b' => drop(self.pop()?),
                other => {
                    return Err(problem(format!("its pickle has the operation {other:#04x}, which no tensors need")));
                }
            }
        }
    }

    /// A length of one, four or eight bytes, by which of the codes it is.
    fn length(&mut self, code: u8, four: u8, one: u8) -> Result<u64, ErrorKind> {
        Ok(match code {
            _ if code == four => u32::from_le_bytes(self.take()?).into(),
            _ if code == one => self.take::<1>()?[0].into(),
            _ => u64::from_le_bytes(self.take()?),
        })
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), ErrorKind> {
        let full = format!("{module}.{name}");
        let is_storage = matches!(module, "torch" | "torch.storage") && dtype(name).is_some();
        if !is_storage && !ALLOWED.contains(&full.as_str()) {
            return Err(ErrorKind::PickleCode(full));
        }
        self.push(Value::Global(full))
    }

    /// `('storage', class, name, device, count)`
    fn persistent(&mut self, id: Place) -> Result<(), ErrorKind> {
        let Value::Items(items) = self.value(id) else { return Err(broken()) };
        let [kind, class, name, ..] = items[..] else { return Err(broken()) };
        let (Value::Text(kind), Value::Global(class), Value::Text(name)) =
            (self.value(kind), self.value(class), self.value(name))
        else {
            return Err(broken());
        };
        let class = class.rsplit('.').next().unwrap_or_default();
        let dtype = dtype(class).filter(|_| kind == "storage").ok_or_else(broken)?;
        self.push(Value::Storage { dtype, name })
    }

    fn call(&mut self, function: Place, arguments: Place) -> Result<(), ErrorKind> {
        let (Value::Global(function), Value::Items(arguments)) = (self.value(function), self.value(arguments)) else {
            return Err(broken());
        };
        let result = match (function.as_str(), &arguments[..]) {
            ("collections.OrderedDict", _) => Value::Dict(Vec::new()),
            ("torch.Size", &[sizes]) => self.value(sizes),
            ("torch._utils._rebuild_parameter", &[tensor, ..]) => self.value(tensor),
            (
                "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor",
                &[storage, offset, sizes, strides, ..],
            ) => {
                let Value::Storage { dtype, name } = self.value(storage) else { return Err(broken()) };
                let Value::Int(offset) = self.value(offset) else { return Err(broken()) };
                let (sizes, strides) = (self.counts(sizes)?, self.counts(strides)?);
                if sizes.len() != strides.len() {
                    return Err(broken());
                }
                let offset = usize::try_from(offset).map_err(|_| broken())?;
                Value::Tensor(TensorView { dtype, storage: name, offset, sizes, strides })
            }
            _ => Value::Other,
        };
        self.push(result)
    }

    fn counts(&self, place: Place) -> Result<Vec<usize>, ErrorKind> {
        let Value::Items(items) = self.value(place) else { return Err(broken()) };
        let one = |&item: &Place| match self.values[item] {
            Value::Int(value) => usize::try_from(value).map_err(|_| broken()),
            _ => Err(broken()),
        };
        items.iter().map(one).collect()
    }

    fn tensors(&self, top: Place) -> Result<Vec<(String, TensorView)>, ErrorKind> {
        let Value::Dict(pairs) = self.value(top) else {
            return Err(problem("it is no dictionary of tensors".into()));
        };
        let named = |wanted: &str| {
            pairs
                .iter()
                .find(|(key, _)| matches!(&self.values[*key], Value::Text(text) if text == wanted))
                .map(|pair| pair.1)
        };
        // Training programs keep the weights beside their own state.
        for wrapper in ["state_dict", "model_state", "module", "params_ema"] {
            if let Some(inner) = named(wrapper).filter(|&inner| matches!(self.values[inner], Value::Dict(_))) {
                return self.tensors(inner);
            }
        }
        let one = |&(key, value): &(Place, Place)| match (&self.values[key], &self.values[value]) {
            (Value::Text(name), Value::Tensor(view)) => Some((name.clone(), view.clone())),
            _ => None,
        };
        let tensors: Vec<_> = pairs.iter().filter_map(one).collect();
        if tensors.is_empty() { Err(problem("it holds no tensors".into())) } else { Ok(tensors) }
    }

    fn value(&self, place: Place) -> Value {
        self.values[place].clone()
    }

    fn push(&mut self, value: Value) -> Result<(), ErrorKind> {
        if self.values.len() >= VALUES_MAX {
            return Err(problem(format!("its pickle makes more than {VALUES_MAX} values")));
        }
        self.values.push(value);
        self.stack.push(self.values.len() - 1);
        Ok(())
    }

    fn pop(&mut self) -> Result<Place, ErrorKind> {
        self.stack.pop().ok_or_else(broken)
    }

    fn since_mark(&mut self) -> Result<Vec<Place>, ErrorKind> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len()).ok_or_else(broken)?;
        Ok(self.stack.split_off(mark))
    }

    fn append(&mut self, new: Vec<Place>) -> Result<(), ErrorKind> {
        let list = *self.stack.last().ok_or_else(broken)?;
        match &mut self.values[list] {
            Value::Items(items) => items.extend(new),
            _ => return Err(broken()),
        }
        Ok(())
    }

    fn set(&mut self, pairs: Vec<Place>) -> Result<(), ErrorKind> {
        let dict = *self.stack.last().ok_or_else(broken)?;
        let (pairs, rest) = pairs.as_chunks::<2>();
        match &mut self.values[dict] {
            Value::Dict(entries) if rest.is_empty() => entries.extend(pairs.iter().map(|&[key, value]| (key, value))),
            _ => return Err(broken()),
        }
        Ok(())
    }

    fn memoize(&mut self, name: u64) -> Result<(), ErrorKind> {
        let top = *self.stack.last().ok_or_else(broken)?;
        self.memo.insert(name, top);
        Ok(())
    }

    fn recall(&mut self, name: u64) -> Result<(), ErrorKind> {
        let place = *self.memo.get(&name).ok_or_else(broken)?;
        self.stack.push(place);
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], ErrorKind> {
        let bytes = self.code.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or_else(broken)?;
        self.at += N;
        Ok(*bytes)
    }

    fn slice(&mut self, len: u64) -> Result<&[u8], ErrorKind> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len)).ok_or_else(broken)?;
        let bytes = self.code.get(self.at..end).ok_or_else(broken)?;
        self.at = end;
        Ok(bytes)
    }

    fn line(&mut self) -> Result<String, ErrorKind> {
        let rest = self.code.get(self.at..).ok_or_else(broken)?;
        let len = rest.iter().position(|&byte| byte == b'\n').ok_or_else(broken)?;
        let text = std::str::from_utf8(&rest[..len]).map_err(|_| broken())?.to_owned();
        self.at += len + 1;
        Ok(text)
    }
}

/// A whole number of up to eight bytes, two's complement.
fn long(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(all))
}

fn broken() -> ErrorKind {
    problem("its pickle is broken".into())
}
