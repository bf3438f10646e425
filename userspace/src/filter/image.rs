// SPDX-License-Identifier: GPL-2.0

//! A program as an ELF image, the form in which loaders take it.

use object::Architecture;
use object::BinaryFormat;
use object::Endianness;
use object::RelocationFlags;
use object::SectionKind;
use object::SymbolFlags;
use object::SymbolKind;
use object::SymbolScope;
use object::elf::R_BPF_64_64;
use object::write::Object;
use object::write::Relocation;
use object::write::Symbol;
use object::write::SymbolSection;

use super::assembler::Code;

/// `BPF_MAP_TYPE_ARRAY` of `linux/bpf.h`.
const MAP_TYPE_ARRAY: u32 = 2;

/// An array that a program shares with userspace.
pub(super) struct Array {
    pub(super) name: &'static str,
    /// The length of an entry, in bytes.
    pub(super) value_len: u32,
    pub(super) entries: u32,
}

/// A socket filter.
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) code: Code,
    /// The map that the code refers to.
    pub(super) map: Option<Array>,
}

impl Array {
    /// The definition in a section `maps`: type, key length, value length, entries, flags.
    fn definition(&self) -> Vec<u8> {
        let words = [MAP_TYPE_ARRAY, 4, self.value_len, self.entries, 0];
        words.into_iter().flat_map(u32::to_ne_bytes).collect()
    }
}

impl Program {
    /// Writes the image: the program in a section `socket`, its map in a section `maps`, and a
    /// relocation for each reference from one to the other.
    pub(super) fn image(&self) -> Vec<u8> {
        let endianness = if cfg!(target_endian = "little") {
            Endianness::Little
        } else {
            Endianness::Big
        };
        let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, endianness);
        let mut add = |section: &str, kind, name: &str, symbol, data: &[u8]| {
            let section = object.add_section(Vec::new(), section.into(), kind);
            object.append_section_data(section, data, 8);
            let symbol = object.add_symbol(Symbol {
                name: name.into(),
                value: 0,
                size: data.len() as u64,
                kind: symbol,
                scope: SymbolScope::Dynamic,
                weak: false,
                section: SymbolSection::Section(section),
                flags: SymbolFlags::None,
            });
            (section, symbol)
        };
        let license = SectionKind::ReadOnlyData;
        add("license", license, "license", SymbolKind::Data, b"GPL\0");
        let (text, _) = add(
            "socket",
            SectionKind::Text,
            self.name,
            SymbolKind::Text,
            &self.code.bytes,
        );
        if let Some(map) = &self.map {
            let (kind, symbol) = (SectionKind::Data, SymbolKind::Data);
            let (_, symbol) = add("maps", kind, map.name, symbol, &map.definition());
            for &offset in &self.code.map_references {
                let relocation = Relocation {
                    offset,
                    symbol,
                    addend: 0,
                    flags: RelocationFlags::Elf {
                        r_type: R_BPF_64_64,
                    },
                };
                object
                    .add_relocation(text, relocation)
                    .expect("the section has the instruction");
            }
        }
        object
            .write()
            .expect("all that is added is of this format and in range")
    }
}
