/* A shared object, but no driver. */
extern const int not_a_driver;
__attribute__((visibility("default"))) const int not_a_driver = 1;
