//! Writers of torch files for tests: a pickle assembler and a ZIP of stored entries, both able to lie.

/// A pickle program under construction; every method appends one construct and returns the program.
#[derive(Clone)]
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn str(self, text: &str) -> Self {
        self.raw(b"X").raw(&(text.len() as u32).to_le_bytes()).raw(text.as_bytes())
    }

    /// The shortest opcode that torch would choose.
    pub fn int(self, value: i64) -> Self {
        match value {
            0..=0xff => self.raw(&[b'K', value as u8]),
            0x100..=0xffff => self.raw(b"M").raw(&(value as u16).to_le_bytes()),
            -0x8000_0000..=0x7fff_ffff => self.raw(b"J").raw(&(value as i32).to_le_bytes()),
            _ => self.raw(&[0x8a, 8]).raw(&value.to_le_bytes()),
        }
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub fn ints(self, values: &[i64]) -> Self {
        values.iter().fold(self.raw(b"("), |p, &v| p.int(v)).raw(b"t")
    }

    /// `("storage", torch.<kind>, key, "cpu", numel)` as a persistent id.
    pub fn storage(self, kind: &str, key: &str, numel: i64) -> Self {
        self.raw(b"(").str("storage").global("torch", kind).str(key).str("cpu").int(numel).raw(b"tQ")
    }

    pub fn tensor(
        self,
        kind: &str,
        key: &str,
        numel: i64,
        offset: i64,
        shape: &[i64],
        stride: &[i64],
    ) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"(")
            .storage(kind, key, numel)
            .int(offset)
            .ints(shape)
            .ints(stride)
            .raw(&[0x89])
            .ordered_dict()
            .raw(b"tR")
    }

    pub fn ordered_dict(self) -> Self {
        self.global("collections", "OrderedDict").raw(b")R")
    }

    pub fn stop(self) -> Vec<u8> {
        self.raw(b".").0
    }
}

/// One entry of a ZIP, with the header fields that a test may want to be wrong.
pub struct Entry {
    pub name: Vec<u8>,
    pub data: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub crc: u32,
    pub size: u32,
    pub stored: u32,
    /// Offset of the local header, `None` for the true one.
    pub offset: Option<u32>,
}

impl Entry {
    pub fn new(name: &str, data: &[u8]) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            data: data.to_vec(),
            method: 0,
            flags: 0x800,
            crc: crc32(data),
            size: data.len() as u32,
            stored: data.len() as u32,
            offset: None,
        }
    }
}

/// A ZIP of `entries`.
pub fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for e in entries {
        let offset = e.offset.unwrap_or(out.len() as u32);
        let mut common = Vec::new();
        for field in [20, e.flags, e.method, 0, 0x21] {
            common.extend(u16::to_le_bytes(field));
        }
        for field in [e.crc, e.stored, e.size] {
            common.extend(field.to_le_bytes());
        }
        common.extend((e.name.len() as u16).to_le_bytes());
        common.extend(0u16.to_le_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(&e.name);
        out.extend(&e.data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(&e.name);
    }
    let (start, count) = (out.len() as u32, (entries.len() as u16).to_le_bytes());
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count);
    out.extend(count);
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// A torch file with `pickle` and `storages`.
pub fn torch_file(pickle: &[u8], storages: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut entries = vec![Entry::new("m/data.pkl", pickle), Entry::new("m/byteorder", b"little")];
    entries.extend(storages.iter().map(|(key, data)| Entry::new(&format!("m/data/{key}"), data)));
    zip(&entries)
}

/// Little-endian single-precision values.
pub fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &b| (0..8).fold(crc ^ u32::from(b), step))
}
