/* Lists by pages: newest first, mostly; a cursor names the last row that was shown. */
#include "console/store_internal.h"
#include "fleet/buffer.h"
#include "fleet/limits.h"

void store_page_copy(struct page_copy *ret, struct store_page page, int default_limit)
{
	ret->limit = page.limit > 0 ? page.limit : default_limit;
	if (ret->limit > FLEET_PAGE_MAX)
		ret->limit = FLEET_PAGE_MAX;
	ret->cursor = xstrdup(page.cursor);
}

int store_page_position(const struct page_copy *page, char letter, int64_t *ret, struct fleet_error *err)
{
	const char *p = page->cursor;
	int64_t value = 0;

	if (!p) {
		*ret = INT64_MAX;
		return 0;
	}
	if (*p != letter || strlen(p) < 2 || strlen(p) > 18)
		return fleet_error_set(err, -EINVAL, "the cursor is none that this list gave");
	for (p++; *p; p++) {
		if (*p < '0' || *p > '9')
			return fleet_error_set(err, -EINVAL, "the cursor is none that this list gave");
		value = value * 10 + (*p - '0');
	}
	*ret = value;
	return 0;
}

char *store_page_cursor(char letter, int64_t position)
{
	return xasprintf("%c%lld", letter, (long long)position);
}

static sqlite3_stmt *select_page(struct fleet_db *db, const char *select, const char *key, int64_t position,
	const struct store_condition *conditions, size_t count, int limit, bool up)
{
	_cleanup_buffer_ struct fleet_buffer sql = FLEET_BUFFER_INIT;
	sqlite3_stmt *st;
	int index = 1;

	fleet_buffer_printf(&sql, "%s WHERE %s %s ?", select, key, up ? ">" : "<");
	for (size_t i = 0; i < count; i++) {
		if (conditions[i].text || conditions[i].is_number)
			fleet_buffer_printf(&sql, " AND %s", conditions[i].sql);
	}
	fleet_buffer_printf(&sql, " ORDER BY %s %s LIMIT ?", key, up ? "ASC" : "DESC");
	st = fleet_db_statement(db, sql.data);
	fleet_db_bind_int(st, index++, position);
	for (size_t i = 0; i < count; i++) {
		if (conditions[i].text)
			fleet_db_bind_text(st, index++, conditions[i].text);
		else if (conditions[i].is_number)
			fleet_db_bind_int(st, index++, conditions[i].number);
	}
	fleet_db_bind_int(st, index, limit);
	return st;
}

sqlite3_stmt *store_select_page(struct fleet_db *db, const char *select, const char *key, int64_t position,
	const struct store_condition *conditions, size_t count, int limit)
{
	return select_page(db, select, key, position, conditions, count, limit, false);
}

sqlite3_stmt *store_select_page_up(struct fleet_db *db, const char *select, const char *key, int64_t position,
	const struct store_condition *conditions, size_t count, int limit)
{
	return select_page(db, select, key, position, conditions, count, limit, true);
}
