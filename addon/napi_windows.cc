// Node-API as Windows gives it: looked up in whatever program runs (node.exe, electron.exe, a renamed one, bun.exe) as
// the addon is loaded. An import library would bind the addon to the name node.exe. node_api.h declares the functions as
// imported, so the compiler calls through pointers named __imp_…: these.
#include <windows.h>

#include <initializer_list>

// clang-format off
#define FUNCTIONS(F) \
  F(napi_add_env_cleanup_hook) F(napi_add_finalizer) F(napi_call_function) \
  F(napi_call_threadsafe_function) F(napi_close_escapable_handle_scope) \
  F(napi_close_handle_scope) F(napi_coerce_to_bool) F(napi_create_array_with_length) \
  F(napi_create_arraybuffer) F(napi_create_double) F(napi_create_error) \
  F(napi_create_external_arraybuffer) F(napi_create_function) F(napi_create_int64) \
  F(napi_create_object) F(napi_create_reference) F(napi_create_string_utf8) \
  F(napi_create_threadsafe_function) F(napi_create_type_error) F(napi_define_properties) \
  F(napi_delete_reference) F(napi_escape_handle) F(napi_fatal_error) F(napi_fatal_exception) \
  F(napi_get_and_clear_last_exception) F(napi_get_array_length) F(napi_get_boolean) \
  F(napi_get_cb_info) F(napi_get_element) F(napi_get_instance_data) F(napi_get_last_error_info) \
  F(napi_get_named_property) F(napi_get_property) F(napi_get_reference_value) \
  F(napi_get_undefined) F(napi_get_value_bool) F(napi_get_value_int64) \
  F(napi_get_value_string_utf8) F(napi_get_value_uint32) F(napi_has_property) F(napi_is_array) \
  F(napi_is_exception_pending) F(napi_open_escapable_handle_scope) F(napi_open_handle_scope) \
  F(napi_ref_threadsafe_function) F(napi_set_element) F(napi_set_instance_data) \
  F(napi_set_named_property) F(napi_throw) F(napi_typeof) F(napi_unref_threadsafe_function)
// clang-format on

// A function that the addon begins to use and that is not listed is undefined when it is linked.
#define POINTER(name)              \
  extern "C" FARPROC __imp_##name; \
  FARPROC __imp_##name;
FUNCTIONS(POINTER)

namespace {

const struct {
  FARPROC *pointer;
  const char *name;
} functions[] = {
#define ROW(name) {&__imp_##name, #name},
    FUNCTIONS(ROW)};

// A program may have Node in a library of its own.
FARPROC find(const char *name) {
  for (const wchar_t *module :
       {static_cast<const wchar_t *>(nullptr), L"libnode.dll", L"node.dll"}) {
    HMODULE m = GetModuleHandleW(module);
    FARPROC f = m ? GetProcAddress(m, name) : nullptr;
    if (f) return f;
  }
  return nullptr;
}

} // namespace

// FALSE: the host has no Node-API of this version, and the addon is not loaded.
BOOL WINAPI DllMain(HINSTANCE, DWORD reason, LPVOID) {
  if (reason != DLL_PROCESS_ATTACH) return TRUE;
  for (auto &f : functions)
    if (!(*f.pointer = find(f.name))) return FALSE;
  return TRUE;
}
