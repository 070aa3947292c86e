#include "agent/procfs.h"
#include <sys/sysmacros.h>

static const char *next_line(const char *p)
{
	p += strcspn(p, "\n");
	return *p ? p + 1 : p;
}

/* A decimal number after blanks; false where there is none or it does not fit. */
static bool take_u64(const char **p, uint64_t *ret)
{
	uint64_t value = 0;
	const char *s = *p + strspn(*p, " \t"), *start = s;

	for (; *s >= '0' && *s <= '9'; s++) {
		if (__builtin_mul_overflow(value, 10u, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*s - '0'), &value))
			return false;
	}
	if (s == start)
		return false;
	*p = s;
	*ret = value;
	return true;
}

int procfs_parse_stat(const char *text, struct procfs_cpu *ret)
{
	/* user nice system idle iowait irq softirq steal; guest time is already in user */
	uint64_t ticks[8] = {0}, total = 0;
	size_t count = 0;
	const char *p = text;

	if (!str_starts(p, "cpu "))
		return -EBADMSG;
	p += 4;
	while (count < FLEET_ARRAY_LEN(ticks) && take_u64(&p, &ticks[count]))
		count++;
	if (count < 4)
		return -EBADMSG;
	for (size_t i = 0; i < FLEET_ARRAY_LEN(ticks); i++) {
		if (__builtin_add_overflow(total, ticks[i], &total))
			return -EBADMSG;
	}
	*ret = (struct procfs_cpu){.total = total, .busy = total - ticks[3] - ticks[4]};
	return 0;
}

double procfs_cpu_percent(const struct procfs_cpu *before, const struct procfs_cpu *now)
{
	uint64_t total, busy;

	if (now->total <= before->total || now->total - before->total < 5)
		return -1;
	total = now->total - before->total;
	busy = now->busy > before->busy ? now->busy - before->busy : 0; /* iowait may run backwards */
	if (busy > total)
		busy = total;
	return 100.0 * (double)busy / (double)total;
}

int procfs_parse_meminfo(const char *text, struct procfs_memory *ret)
{
	struct procfs_memory m = {0};
	uint64_t mem_free = 0;
	bool has_total = false, has_available = false;
	const struct {
		const char *key;
		uint64_t *value;
		bool *found;
	} keys[] = {
		{"MemTotal:", &m.total, &has_total},
		{"MemAvailable:", &m.available, &has_available},
		{"MemFree:", &mem_free, NULL},
		{"SwapTotal:", &m.swap_total, NULL},
		{"SwapFree:", &m.swap_free, NULL},
	};

	for (const char *line = text; *line; line = next_line(line)) {
		for (size_t i = 0; i < FLEET_ARRAY_LEN(keys); i++) {
			const char *p = line + strlen(keys[i].key);
			uint64_t kib;

			if (!str_starts(line, keys[i].key) || !take_u64(&p, &kib) || kib > UINT64_MAX / 1024)
				continue;
			*keys[i].value = kib * 1024;
			if (keys[i].found)
				*keys[i].found = true;
		}
	}
	if (!has_total)
		return -EBADMSG;
	if (!has_available)
		m.available = mem_free;
	if (m.available > m.total)
		m.available = m.total;
	if (m.swap_free > m.swap_total)
		m.swap_free = m.swap_total;
	*ret = m;
	return 0;
}

/* "0.52": no strtod, whose decimal point follows the locale. */
static bool take_decimal(const char **p, double *ret)
{
	uint64_t whole, part = 0;
	double scale = 1;

	if (!take_u64(p, &whole))
		return false;
	if (**p == '.') {
		const char *s = *p + 1;
		size_t digits = strspn(s, "0123456789");

		if (digits < 1 || digits > 9 || !take_u64(&s, &part))
			return false;
		while (digits-- > 0)
			scale *= 10;
		*p = s;
	}
	*ret = (double)whole + (double)part / scale;
	return true;
}

int procfs_parse_loadavg(const char *text, double ret[3])
{
	double load[3];
	const char *p = text;

	for (size_t i = 0; i < FLEET_ARRAY_LEN(load); i++) {
		if (!take_decimal(&p, &load[i]) || (*p != ' ' && *p != '\n' && *p))
			return -EBADMSG;
	}
	memcpy(ret, load, sizeof(load));
	return 0;
}

int procfs_parse_uptime(const char *text, int64_t *ret_seconds)
{
	double seconds;
	const char *p = text;

	if (!take_decimal(&p, &seconds) || seconds > 1e12)
		return -EBADMSG;
	*ret_seconds = (int64_t)seconds;
	return 0;
}

int procfs_parse_statm(const char *text, uint64_t *ret_pages)
{
	uint64_t size, resident;
	const char *p = text;

	if (!take_u64(&p, &size) || !take_u64(&p, &resident) || resident > UINT64_C(1) << 40)
		return -EBADMSG;
	*ret_pages = resident;
	return 0;
}

static bool interface_is_virtual(const char *name)
{
	static const char *const prefixes[] = {"veth", "docker", "br-", "virbr", "vnet", "tap", "tun", "cni",
		"flannel", "cali", "podman", "lxc", "lxd"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(prefixes); i++) {
		if (str_starts(name, prefixes[i]))
			return true;
	}
	return str_starts(name, "lo:");
}

int procfs_parse_net_dev(const char *text, struct procfs_network *ret)
{
	struct procfs_network sum = {0};
	bool any = false;

	for (const char *line = text; *line; line = next_line(line)) {
		const char *name = line + strspn(line, " "), *p = memchr(name, ':', strcspn(name, "\n"));
		uint64_t column[16];
		size_t count = 0;

		if (!p || memchr(name, '|', (size_t)(p - name)))
			continue; /* the two lines of headings */
		p++;
		while (count < FLEET_ARRAY_LEN(column) && take_u64(&p, &column[count]))
			count++;
		if (count < 9)
			continue;
		any = true;
		if (interface_is_virtual(name))
			continue;
		if (__builtin_add_overflow(sum.rx, column[0], &sum.rx) ||
			__builtin_add_overflow(sum.tx, column[8], &sum.tx))
			return -EBADMSG;
	}
	if (!any)
		return -EBADMSG;
	*ret = sum;
	return 0;
}

/* mountinfo writes blank, tab, newline and backslash as \ooo. */
static char *unescape(const char *text, size_t len)
{
	char *out = xmalloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\\' && i + 3 < len && text[i + 1] >= '0' && text[i + 1] <= '3' &&
			text[i + 2] >= '0' && text[i + 2] <= '7' && text[i + 3] >= '0' &&
			text[i + 3] <= '7') {
			out[n++] = (char)(((text[i + 1] - '0') << 6) | ((text[i + 2] - '0') << 3) |
					  (text[i + 3] - '0'));
			i += 3;
		} else {
			out[n++] = text[i];
		}
	}
	out[n] = '\0';
	return out;
}

static bool type_is_local_disk(const char *type, size_t len, bool is_root)
{
	static const char *const types[] = {"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "jfs",
		"reiserfs", "nilfs2", "bcachefs", "vfat", "exfat", "ntfs", "ntfs3", "ufs"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(types); i++) {
		if (strlen(types[i]) == len && strncmp(types[i], type, len) == 0)
			return true;
	}
	return is_root && len == 7 && strncmp(type, "overlay", len) == 0; /* containers */
}

static bool type_is_remote(const char *type, size_t len)
{
	static const char *const prefixes[] = {"nfs", "cifs", "smb", "9p", "ceph", "fuse", "glusterfs", "afs",
		"lustre", "gfs2", "ocfs2", "autofs"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(prefixes); i++) {
		size_t n = strlen(prefixes[i]);

		if (n <= len && strncmp(prefixes[i], type, n) == 0)
			return !(len == 7 && strncmp(type, "fusectl", 7) == 0);
	}
	return false;
}

enum mount_kind { MOUNT_OTHER, MOUNT_LOCAL, MOUNT_REMOTE };

/* "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue" (proc(5)). Fills ret for
 * local and remote ones. */
static enum mount_kind parse_mount(const char *line, struct procfs_mount *ret)
{
	const char *field[64], *end = line + strcspn(line, "\n"), *p = line;
	size_t len[64], count = 0, dash = 0;
	uint64_t major_nr, minor_nr;
	enum mount_kind kind;

	while (p < end && count < FLEET_ARRAY_LEN(field)) {
		size_t n = strcspn(p, " \n");

		field[count] = p;
		len[count++] = n;
		p += n;
		p += *p == ' ';
	}
	for (size_t i = 6; i < count && !dash; i++) {
		if (len[i] == 1 && *field[i] == '-')
			dash = i;
	}
	if (!dash || dash + 1 >= count || len[4] < 1 || *field[4] != '/')
		return MOUNT_OTHER;
	p = field[2];
	if (!take_u64(&p, &major_nr) || *p++ != ':' || !take_u64(&p, &minor_nr) || major_nr > UINT32_MAX ||
		minor_nr > UINT32_MAX)
		return MOUNT_OTHER;
	if (type_is_local_disk(field[dash + 1], len[dash + 1], len[4] == 1))
		kind = MOUNT_LOCAL;
	else if (type_is_remote(field[dash + 1], len[dash + 1]))
		kind = MOUNT_REMOTE;
	else
		return MOUNT_OTHER;
	*ret = (struct procfs_mount){.point = unescape(field[4], len[4]),
		.device = makedev((unsigned)major_nr, (unsigned)minor_nr),
		.btrfs = len[dash + 1] == 5 && strncmp(field[dash + 1], "btrfs", 5) == 0};
	return kind;
}

/* A local disk's mount point that can only be reached through a remote mount is not looked at either. */
static void drop_below(struct procfs_mounts *m, const char *remote)
{
	size_t len = strlen(remote), kept = 0;

	if (len <= 1) /* a root that hangs takes us with it anyway */
		return;
	for (size_t i = 0; i < m->count; i++) {
		if (str_starts(m->items[i].point, remote) &&
			(m->items[i].point[len] == '/' || m->items[i].point[len] == '\0'))
			free(m->items[i].point);
		else
			m->items[kept++] = m->items[i];
	}
	m->count = kept;
}

static void add_mount(struct procfs_mounts *m, struct procfs_mount *takes_mount)
{
	for (size_t i = 0; i < m->count; i++) {
		struct procfs_mount *same = &m->items[i];
		char *longer;

		if (same->device != takes_mount->device)
			continue;
		longer = takes_mount->point;
		if (strlen(longer) < strlen(same->point)) {
			longer = same->point;
			same->point = takes_mount->point;
		}
		free(longer);
		return;
	}
	if (m->count == FLEET_ARRAY_LEN(m->items))
		free(takes_mount->point);
	else
		m->items[m->count++] = *takes_mount;
}

void procfs_parse_mountinfo(const char *text, struct procfs_mounts *ret)
{
	struct procfs_mount mount;

	*ret = (struct procfs_mounts){.count = 0};
	for (const char *line = text; *line; line = next_line(line)) {
		switch (parse_mount(line, &mount)) {
		case MOUNT_LOCAL:
			add_mount(ret, &mount);
			break;
		case MOUNT_REMOTE:
			free(mount.point);
			break;
		case MOUNT_OTHER:
			break;
		}
	}
	for (const char *line = text; *line; line = next_line(line)) {
		enum mount_kind kind = parse_mount(line, &mount);

		if (kind == MOUNT_REMOTE)
			drop_below(ret, mount.point);
		if (kind != MOUNT_OTHER)
			free(mount.point);
	}
}

void procfs_mounts_done(struct procfs_mounts *m)
{
	for (size_t i = 0; i < m->count; i++)
		free(m->items[i].point);
	m->count = 0;
}
