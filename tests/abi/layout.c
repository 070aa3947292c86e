/* Prints where every member of every struct of the driver ABI lies, and every number of it; built against the header
 * of a release and against today's. */
#include <fleet/driver.h>

#define SIZE(type)	   printf("sizeof %s %zu\n", #type, sizeof(struct type))
#define MEMBER(type, name) printf("%s.%s %zu+%zu\n", #type, #name, offsetof(struct type, name), sizeof(((struct type *)0)->name))
#define NUMBER(name)	   printf("%s %d\n", #name, (int)(name))

int main(void)
{
	/* without a size member: these never grow */
	SIZE(fleet_bytes), MEMBER(fleet_bytes, data), MEMBER(fleet_bytes, len);
	SIZE(fleet_option), MEMBER(fleet_option, key), MEMBER(fleet_option, value);
	SIZE(fleet_edit), MEMBER(fleet_edit, path), MEMBER(fleet_edit, value), MEMBER(fleet_edit, kind), MEMBER(fleet_edit, type);

	MEMBER(fleet_driver_error, size), MEMBER(fleet_driver_error, code), MEMBER(fleet_driver_error, line);
	MEMBER(fleet_driver_error, column), MEMBER(fleet_driver_error, message);
	MEMBER(fleet_host, size), MEMBER(fleet_host, abi_major), MEMBER(fleet_host, abi_minor), MEMBER(fleet_host, app_id);
	MEMBER(fleet_host, state_dir), MEMBER(fleet_host, options), MEMBER(fleet_host, option_count), MEMBER(fleet_host, log);
	MEMBER(fleet_host, emit), MEMBER(fleet_host, emit_setting), MEMBER(fleet_host, progress);
	MEMBER(fleet_host, remaining_ms), MEMBER(fleet_host, emit_line);
	MEMBER(fleet_format_ops, size), MEMBER(fleet_format_ops, flags), MEMBER(fleet_format_ops, read);
	MEMBER(fleet_format_ops, edit), MEMBER(fleet_format_ops, check), MEMBER(fleet_format_ops, init);
	MEMBER(fleet_status, size), MEMBER(fleet_status, state), MEMBER(fleet_status, pid), MEMBER(fleet_status, restarts);
	MEMBER(fleet_status, since_unix_ms), MEMBER(fleet_status, memory_bytes), MEMBER(fleet_status, message);
	MEMBER(fleet_status, instance);
	MEMBER(fleet_service_ops, size), MEMBER(fleet_service_ops, flags), MEMBER(fleet_service_ops, status);
	MEMBER(fleet_service_ops, start), MEMBER(fleet_service_ops, stop), MEMBER(fleet_service_ops, restart);
	MEMBER(fleet_service_ops, version), MEMBER(fleet_service_ops, reload), MEMBER(fleet_service_ops, reload_definitions);
	MEMBER(fleet_service_ops, logs);
	MEMBER(fleet_driver_v1, size), MEMBER(fleet_driver_v1, abi_major), MEMBER(fleet_driver_v1, abi_minor);
	MEMBER(fleet_driver_v1, name), MEMBER(fleet_driver_v1, version), MEMBER(fleet_driver_v1, summary);
	MEMBER(fleet_driver_v1, format), MEMBER(fleet_driver_v1, service);

	NUMBER(FLEET_TYPE_STRING), NUMBER(FLEET_TYPE_INTEGER), NUMBER(FLEET_TYPE_NUMBER), NUMBER(FLEET_TYPE_BOOLEAN);
	NUMBER(FLEET_TYPE_NULL), NUMBER(FLEET_TYPE_ARRAY), NUMBER(FLEET_TYPE_OBJECT);
	NUMBER(FLEET_EDIT_SET), NUMBER(FLEET_EDIT_UNSET), NUMBER(FLEET_FORMAT_TEXT_ONLY);
	NUMBER(FLEET_LOG_LEVEL_ERROR), NUMBER(FLEET_LOG_LEVEL_WARNING), NUMBER(FLEET_LOG_LEVEL_INFO);
	NUMBER(FLEET_LOG_LEVEL_DEBUG);
	NUMBER(FLEET_STATE_UNKNOWN), NUMBER(FLEET_STATE_RUNNING), NUMBER(FLEET_STATE_STOPPED), NUMBER(FLEET_STATE_FAILED);
	NUMBER(FLEET_STATE_STARTING), NUMBER(FLEET_STATE_STOPPING), NUMBER(FLEET_STATE_DONE);
	NUMBER(FLEET_DRIVER_ABI_MAJOR);
	return 0;
}
