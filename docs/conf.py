"""How the book is built; `./run docs` calls Sphinx with the folder of Doxygen's XML in breathe_projects.retrace."""

from breathe.renderer.sphinxrenderer import SphinxRenderer, WithContext

project = "retrace"
author = "the retrace authors"
extensions = ["myst_parser", "breathe"]
exclude_patterns = ["listings"]

myst_heading_anchors = 3

breathe_default_project = "retrace"
breathe_show_include = False
breathe_default_members = ("members", "protected-members", "undoc-members")
primary_domain = "cpp"
cpp_index_common_prefix = ["retrace::"]  # or all names would be below R in the index
highlight_language = "cpp"


# Breathe declares the namespace around the members of each header, so that it is declared as often as there are headers.
# Here it is left out, and its name put in front of its members.


def members_of_namespace(self, node):
    data = self.compound_parser.parse(node.refid)
    if data.compounddef.compoundname == "retrace":
        data.compounddef.briefdescription = None  # would stand under each header
    context = self.context.create_child_context(data)
    outer, self.qualification_stack = self.qualification_stack, [node, data.compounddef]
    try:
        with WithContext(self, context.create_child_context(data.compounddef)):
            return self.render(data, context)
    finally:
        self.qualification_stack = outer


def class_by_its_full_name(self, node, visit=SphinxRenderer.visit_class):
    outer, self.qualification_stack = self.qualification_stack, self.qualification_stack[:1]
    try:
        return visit(self, node)
    finally:
        self.qualification_stack = outer


def text_without_line_breaks(self, node, render=SphinxRenderer.render_string):
    """A line that ends within quotes is no paragraph."""
    return render(self, node.replace("\n", " "))


def class_without_its_private_classes(self, node, visit=SphinxRenderer.visit_compounddef):
    node.innerclass = [inner for inner in node.innerclass if inner.prot != "private"]
    return visit(self, node)


SphinxRenderer.render_string = text_without_line_breaks
SphinxRenderer.methods["compounddef"] = class_without_its_private_classes
SphinxRenderer.sections = [s for s in SphinxRenderer.sections if s[0] != "friend" and not s[0].startswith("private")]
SphinxRenderer.visit_namespace = members_of_namespace
SphinxRenderer.visit_class = class_by_its_full_name

html_theme = "furo"
html_title = "retrace"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_js_files = ["theme.js"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
# x1 and y1 in the pictures, docs/pictures/draw.py.
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072b2", "color-brand-content": "#0072b2"},
    "dark_css_variables": {"color-brand-primary": "#56b4e9", "color-brand-content": "#56b4e9"},
}
