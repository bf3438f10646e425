// SPDX-License-Identifier: GPL-2.0

//! A subsystem as the module itself.

use kernel::{
    prelude::*,
    InPlaceModule,
    ModuleMetadata, //
};

use super::pernet::{
    Module,
    Subsystem, //
};

// `net/` is part of the module's crate, so a type of `net/` can implement `InPlaceModule` and be
// the type in `module!`. Only the type that `module!` names has `ModuleMetadata`.
impl<T> InPlaceModule for Module<T>
where
    T: Subsystem<Module = Self>,
    Self: ModuleMetadata,
{
    /// Registers the subsystem: see [`Module::new`].
    fn init(_module: &'static ThisModule) -> impl PinInit<Self, Error> {
        // SAFETY: The module is in the crate that `net/` is part of. `module!` makes this value, as
        // the value of the module.
        unsafe { Self::new() }
    }
}
