
int ascending() { return 0; }
