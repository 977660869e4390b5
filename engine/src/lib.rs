// SPDX-License-Identifier: Apache-2.0
//! Static library with wasmtime's C API, plus what the C API lacks (declared in `wispengine.h`).
pub use wasmtime_c_api::*;

use std::future::Future;
use std::mem::{transmute, MaybeUninit};
use std::pin::Pin;
use std::{ptr, slice, str};
use wasmtime::{Config, Engine, Error, Extern, Func, Instance, Memory, Module, ModuleExport, Trap, TypedFunc, ValRaw};

// The C API's types are one field each around the engine's own; the casts below rest on that.
const _: () = assert!(size_of::<wasmtime_module_t>() == size_of::<Module>());
const _: () = assert!(size_of::<wasm_trap_t>() == size_of::<Error>());
const _: () = assert!(size_of::<wasmtime_call_future_t<'static>>() == size_of::<Pin<Box<dyn Future<Output = ()>>>>());

unsafe fn inner_module<'a>(module: *const wasmtime_module_t) -> &'a Module {
    unsafe { &*module.cast::<Module>() }
}

/// # Safety
/// `config` is owned by the caller and taken over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_new(
    config: Box<wasm_config_t>,
    err_ret: &mut *mut wasmtime_error_t,
) -> Option<Box<wasm_engine_t>> {
    let config = unsafe { &*(&raw const *config).cast::<Config>() };
    match Engine::new(config) {
        Ok(engine) => Some(Box::new(unsafe { transmute::<Engine, wasm_engine_t>(engine) })),
        Err(error) => {
            *err_ret = Box::into_raw(Box::new(wasmtime_error_t::from(error)));
            None
        }
    }
}

/// # Safety
/// `config` is a live pooling configuration of this library (`repr(C)`, one field).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_pooling_pagemap_scan(config: *mut wasmtime_pooling_allocation_config_t) {
    unsafe { (*config.cast::<wasmtime::PoolingAllocationConfig>()).pagemap_scan(wasmtime::Enabled::Auto) };
}

/// # Safety
/// Pointers are live; `name` has `name_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_module_export_find(
    module: *const wasmtime_module_t,
    name: *const u8,
    name_len: usize,
) -> Option<Box<ModuleExport>> {
    let name = str::from_utf8(unsafe { slice::from_raw_parts(name, name_len) }).ok()?;
    unsafe { inner_module(module) }.get_export_index(name).map(Box::new)
}

#[unsafe(no_mangle)]
pub extern "C" fn wisp_engine_module_export_delete(_export: Option<Box<ModuleExport>>) {}

/// # Safety
/// `export` was found in the module that `instance` was made of.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_instance_export_get(
    context: WasmtimeStoreContextMut<'_>,
    instance: &Instance,
    export: &ModuleExport,
    item: &mut MaybeUninit<wasmtime_extern_t>,
) -> bool {
    match instance.get_module_export(context, export) {
        Some(found) => {
            item.write(found.into());
            true
        }
        None => false,
    }
}

/// # Safety
/// All pointers stay live until the future is deleted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_instance_new_async<'a>(
    mut context: WasmtimeStoreContextMut<'a>,
    module: *const wasmtime_module_t,
    imports: *const wasmtime_extern_t,
    n_imports: usize,
    instance: &'a mut Instance,
    trap_ret: &'a mut *mut wasm_trap_t,
    err_ret: &'a mut *mut wasmtime_error_t,
) -> Box<wasmtime_call_future_t<'a>> {
    let module = unsafe { inner_module(module) };
    let imports: Vec<Extern> = if n_imports == 0 {
        Vec::new()
    } else {
        unsafe { slice::from_raw_parts(imports, n_imports) }.iter().map(|item| unsafe { item.to_extern() }).collect()
    };
    let future: Pin<Box<dyn Future<Output = ()> + 'a>> = Box::pin(async move {
        match Instance::new_async(&mut context, module, &imports).await {
            Ok(made) => *instance = made,
            Err(error) => {
                *trap_ret = ptr::null_mut();
                *err_ret = Box::into_raw(Box::new(wasmtime_error_t::from(error)));
            }
        }
    });
    into_call_future(future)
}

fn into_call_future<'a>(future: Pin<Box<dyn Future<Output = ()> + 'a>>) -> Box<wasmtime_call_future_t<'a>> {
    Box::new(unsafe { transmute::<Pin<Box<dyn Future<Output = ()> + 'a>>, wasmtime_call_future_t<'a>>(future) })
}

/// Every value has a slot of its own, of which the engine's compiled code reads and writes what its type needs. So slots
/// of eight bytes do for functions of any numbers.
type AnyFunc = TypedFunc<(u64, u64, u64, u64), u64>;

/// # Safety
/// `func` takes up to four numbers and returns at most one. All pointers stay live until the future is deleted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_call_async<'a>(
    mut context: WasmtimeStoreContextMut<'a>,
    func: &Func,
    values: &'a mut [ValRaw; 4],
    trap_ret: &'a mut *mut wasm_trap_t,
    err_ret: &'a mut *mut wasmtime_error_t,
) -> Box<wasmtime_call_future_t<'a>> {
    let func = unsafe { AnyFunc::new_unchecked(&context, *func) };
    into_call_future(Box::pin(async move {
        let args = (values[0].get_u64(), values[1].get_u64(), values[2].get_u64(), values[3].get_u64());
        match func.call_async(&mut context, args).await {
            Ok(result) => values[0] = ValRaw::u64(result),
            Err(error) if error.is::<Trap>() => {
                *trap_ret = Box::into_raw(Box::new(unsafe { transmute::<Error, wasm_trap_t>(error) }));
            }
            Err(error) => *err_ret = Box::into_raw(Box::new(wasmtime_error_t::from(error))),
        }
    }))
}

/// # Safety
/// `memory` belongs to the store.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn wisp_engine_memory_view(
    context: WasmtimeStoreContextMut<'_>,
    memory: &Memory,
    size_ret: &mut u64,
) -> *mut u8 {
    let bytes = memory.data_mut(context);
    *size_ret = bytes.len() as u64;
    bytes.as_mut_ptr()
}
