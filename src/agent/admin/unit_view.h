/* A unit as `systemctl show` tells of it, and what can be guessed from there: where the program lies and
 * which files configure it. Looks at names and at what exists, opens nothing. */
#ifndef ADMIN_UNIT_VIEW_H
#define ADMIN_UNIT_VIEW_H
#include "agent/host/apps.h"

#define UNIT_VIEW_PROPERTIES                                                                                 \
	"Id,LoadState,Description,Type,ExecStart,ExecReload,User,Group,DynamicUser,WorkingDirectory,"        \
	"EnvironmentFiles,FragmentPath,TimeoutStartUSec"
#define UNIT_VIEW_FILES_MAX 8

struct unit_view {
	char *id, *description, *user, *fragment; /* owned; NULL not told */
	char *program;                            /* owned: what is run, past interpreters; NULL not known */
	char *tree;     /* owned: the directory that seems to be the app's own; NULL: the program is a file
			   among others */
	bool of_system; /* the program is the distribution's */
	bool reloads;   /* has an ExecReload= */
	struct app_strings
		configs; /* files that exist and have a format that Fleet knows; the likeliest first */
	struct app_strings env_files;
	char *version_file; /* owned; NULL none is there */
};

/* shown: of systemctl_show with UNIT_VIEW_PROPERTIES. */
void unit_view_read(const char *shown, struct unit_view *ret);
void unit_view_done(struct unit_view *u);

#endif
