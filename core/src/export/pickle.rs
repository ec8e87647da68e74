//! The pickle program of a torch file: protocol 2, dicts, strings, integers and tensors, and nothing else.
//!
//! No memo: nothing is shared, and readers do not need one. Invariant: what it writes, [`crate::import::pickle`] reads.

use half::f16;

/// Elements of one tensor, little-endian.
pub(super) struct Storage {
    /// Name of its class in `torch`.
    class: &'static str,
    elements: usize,
    pub(super) bytes: Vec<u8>,
}

impl Storage {
    pub(super) fn chars(values: &[i8]) -> Self {
        let bytes = values.iter().map(|x| *x as u8).collect();
        Self { class: "CharStorage", elements: values.len(), bytes }
    }

    pub(super) fn halves(values: &[f16]) -> Self {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { class: "HalfStorage", elements: values.len(), bytes }
    }

    pub(super) fn floats(values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Self { class: "FloatStorage", elements: values.len(), bytes }
    }
}

/// A value to write.
pub(super) enum Value {
    Text(String),
    Int(i32),
    Dict(Vec<(String, Value)>),
    Tensor { key: usize, class: &'static str, elements: usize, shape: Vec<usize> },
}

/// A contiguous tensor over a storage of its own, which joins `storages`.
pub(super) fn tensor(storages: &mut Vec<Storage>, storage: Storage, shape: &[usize]) -> Value {
    let (key, class, elements) = (storages.len(), storage.class, storage.elements);
    storages.push(storage);
    Value::Tensor { key, class, elements, shape: shape.to_vec() }
}

/// The program that builds `value`.
pub(super) fn program(value: &Value) -> Vec<u8> {
    let mut out = vec![0x80, 2];
    write(value, &mut out);
    out.push(b'.');
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => string(text, out),
        Value::Int(number) => int(i64::from(*number), out),
        Value::Dict(entries) => {
            out.extend(b"}(");
            for (key, value) in entries {
                string(key, out);
                write(value, out);
            }
            out.push(b'u');
        }
        Value::Tensor { key, class, elements, shape } => {
            out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
            string("storage", out);
            out.extend(format!("ctorch\n{class}\n").as_bytes());
            string(&key.to_string(), out);
            string("cpu", out);
            int(*elements as i64, out);
            out.extend(b"tQ");
            int(0, out);
            sizes(shape, out);
            sizes(&strides(shape), out);
            out.push(0x89);
            out.extend(b"ccollections\nOrderedDict\n)RtR");
        }
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn int(number: i64, out: &mut Vec<u8>) {
    match i32::try_from(number) {
        Ok(small) => {
            out.push(b'J');
            out.extend(small.to_le_bytes());
        }
        Err(_) => {
            out.extend([0x8a, 8]);
            out.extend(number.to_le_bytes());
        }
    }
}

fn sizes(list: &[usize], out: &mut Vec<u8>) {
    out.push(b'(');
    list.iter().for_each(|&size| int(size as i64, out));
    out.push(b't');
}

fn strides(shape: &[usize]) -> Vec<usize> {
    (1..=shape.len()).map(|from| shape[from..].iter().product()).collect()
}
