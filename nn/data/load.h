#pragma once
#include <retrace/nn/data/augment.h>
#include <retrace/nn/data/dataset.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace retrace {

/// The names that `load_dataset` knows: cifar10, cifar100, mnist, fashion-mnist, synthetic.
std::vector<std::string> dataset_names();

/// The data set of that name, read from `folder` (see cifar10, cifar100, mnist, fashion_mnist); `synthetic`
/// needs none and has 5,000 training and 1,000 test images. Throws ArgumentError with the list of known
/// names, and what reading throws.
std::shared_ptr<Dataset> load_dataset(std::string_view name, const std::filesystem::path& folder,
                                      Split split);

/// What is usual in training on that data set: normalised with the statistics of `train`, and for CIFAR pad 4
/// and flip, for Fashion-MNIST pad 2 and flip, for MNIST pad 2. Throws ArgumentError with the list of known
/// names.
Augmentation usual_augmentation(std::string_view name, const Dataset& train);

}  // namespace retrace
